/* tcp_tw_reuse: when it is on, and what it makes of a capacity. */
#include <string.h>

#include "suite.h"
#include "text/parse.h"
#include "tool/host/tw_reuse.h"

static struct addr address(const char *text) {
    struct addr a;
    ck_assert_ptr_null(parse_address(text, &a));
    return a;
}

static const struct {
    struct tw_reuse r;
    bool far, near; /* is it on, between hosts and on loopback? */
} cases[] = {
    {{0, 1000, 1, -1}, false, false}, {{1, 1000, 1, -1}, true, true},    {{2, 1000, 1, -1}, false, true},
    {{1, 1000, 0, -1}, false, false}, {{2, 1000, 0, -1}, false, false},  {{1, 60000, 1, -1}, false, false},
    {{1, 59999, 1, -1}, true, true},  {{1, 1000, -1, -1}, false, false}, {{-1, 1000, 1, -1}, false, false},
    {{1, 1000, 2, -1}, true, true},
};

START_TEST(it_is_on_where_the_kernel_has_it_on) {
    const struct tw_reuse *r = &cases[_i].r;
    char text[TW_REUSE_TEXT];
    ck_assert(tw_reuse_is_on(r, false) == cases[_i].far);
    ck_assert(tw_reuse_is_on(r, true) == cases[_i].near);
    ck_assert(tw_reuse_text(r, true, text) == cases[_i].near);
    ck_assert((text[0] != '\0') == cases[_i].near);
    ck_assert_double_eq(tw_reuse_seconds(r, false), cases[_i].far ? (double)r->delay_ms / 1000 : 60);
}
END_TEST

START_TEST(the_delay_decides_how_many_a_second) {
    struct tw_reuse r = {1, 1000, 1, -1};
    ck_assert_double_eq(tw_reuse_per_second(&r, false, 28232), 28232);
    ck_assert(!tw_reuse_may_take(&r, false, 59001));
    ck_assert(tw_reuse_may_take(&r, false, 59000));
    r.delay_ms = 5000;
    ck_assert_double_eq_tol(tw_reuse_per_second(&r, false, 28232), 5646.4, 0.01);
    ck_assert(!tw_reuse_may_take(&r, false, 55001));
    r.mode = 2;
    ck_assert_double_eq_tol(tw_reuse_per_second(&r, false, 28232), 470.53, 0.01);
    ck_assert_double_eq_tol(tw_reuse_per_second(&r, true, 28232), 5646.4, 0.01);
    ck_assert(!tw_reuse_may_take(&r, false, 0));
}
END_TEST

START_TEST(loopback_is_by_address) {
    struct addr a = address("127.0.0.2"), b = address("10.0.0.1"), c = address("::1"), d = address("fd00::1");
    ck_assert(tw_reuse_is_loopback(&a, &a) && tw_reuse_is_loopback(&b, &a) && tw_reuse_is_loopback(&a, &b));
    ck_assert(tw_reuse_is_loopback(&c, &c));
    ck_assert(!tw_reuse_is_loopback(&b, &b) && !tw_reuse_is_loopback(&d, &d));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tw_reuse");
    TCase *t = tcase_create("tw_reuse");
    tcase_add_loop_test(t, it_is_on_where_the_kernel_has_it_on, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(t, the_delay_decides_how_many_a_second);
    tcase_add_test(t, loopback_is_by_address);
    suite_add_tcase(suite, t);
    return run(suite);
}
