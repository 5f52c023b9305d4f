/* Port sets against the host's ephemeral range: ports.h. */
#include <check.h>

#include "net/ports.h"
#include "suite.h"
#include "policy/policy.h"

static const struct port_range host = {40000, 40999};

static struct port_split split(unsigned n, const struct port_range *ranges) {
    struct port_split s;
    ports_split(&s, ranges, n, host);
    return s;
}

static void is(struct port_range r, unsigned low, unsigned high) {
    ck_assert_uint_eq(r.low, low);
    ck_assert_uint_eq(r.high, high);
}

START_TEST(a_range_inside_is_left_as_it_is) {
    struct port_split s = split(1, (struct port_range[]){{40010, 40019}});
    ck_assert_uint_eq(s.n_inside, 1);
    ck_assert_uint_eq(s.n_outside, 0);
    is(s.inside[0], 40010, 40019);
    ck_assert_uint_eq(s.outside_total, 0);
}
END_TEST

START_TEST(a_range_outside_is_bound_explicitly) {
    struct port_split s = split(2, (struct port_range[]){{1024, 2047}, {50000, 50000}});
    ck_assert_uint_eq(s.n_inside, 0);
    ck_assert_uint_eq(s.n_outside, 2);
    ck_assert_uint_eq(s.outside_total, 1025);
    ck_assert_uint_eq(ports_outside(&s, 0), 1024);
    ck_assert_uint_eq(ports_outside(&s, 1023), 2047);
    ck_assert_uint_eq(ports_outside(&s, 1024), 50000);
    ck_assert_uint_eq(ports_outside(&s, 1025), 0);
}
END_TEST

START_TEST(a_range_around_the_hosts_is_cut_in_three) {
    struct port_split s = split(1, (struct port_range[]){{1, 65535}});
    ck_assert_uint_eq(s.n_inside, 1);
    is(s.inside[0], 40000, 40999);
    ck_assert_uint_eq(s.n_outside, 2);
    is(s.outside[0], 1, 39999);
    is(s.outside[1], 41000, 65535);
    ck_assert_uint_eq(s.outside_total, 65535 - 1000);
}
END_TEST

START_TEST(a_range_over_an_edge_is_cut_in_two) {
    struct port_split s = split(1, (struct port_range[]){{40990, 41009}});
    is(s.inside[0], 40990, 40999);
    is(s.outside[0], 41000, 41009);
}
END_TEST

START_TEST(every_port_is_on_exactly_one_side) {
    static const struct port_range ranges[] = {{100, 200}, {39999, 40000}, {40500, 40500}, {40998, 41001}};
    struct port_split s = split(4, ranges);
    unsigned inside = 0, asked = 0;
    for (unsigned i = 0; i < s.n_inside; i++)
        inside += s.inside[i].high - s.inside[i].low + 1u;
    for (unsigned i = 0; i < 4; i++)
        asked += ranges[i].high - ranges[i].low + 1u;
    ck_assert_uint_eq(inside + s.outside_total, asked);
}
END_TEST

START_TEST(scribbled_ranges_are_passed_over) {
    struct port_range many[POOL_PORTS + 8];
    for (unsigned i = 0; i < POOL_PORTS + 8; i++)
        many[i] = (struct port_range){(uint16_t)(i % 2 ? 0 : 50), (uint16_t)(i % 2 ? 65535 : 40)};
    struct port_split s = split(POOL_PORTS + 8, many);
    ck_assert_uint_eq(s.n_inside + s.n_outside, 0);
}
END_TEST

START_TEST(as_many_ranges_as_a_pool_can_have_fit) {
    struct port_range many[POOL_PORTS];
    for (unsigned i = 0; i < POOL_PORTS; i++)
        many[i] = (struct port_range){(uint16_t)(1000 + 10 * i), (uint16_t)(1001 + 10 * i)};
    many[POOL_PORTS - 1] = (struct port_range){30000, 60000};
    struct port_split s = split(POOL_PORTS, many);
    ck_assert_uint_eq(s.n_outside, POOL_PORTS + 1);
    ck_assert_uint_eq(s.n_inside, 1);
}
END_TEST

START_TEST(a_window_lies_in_its_range) {
    struct port_range w;
    for (uint64_t random = 0; random < 100000; random += 7) {
        ck_assert(ports_window((struct port_range){32768, 60999}, random * random, &w));
        ck_assert(w.low >= 32768 && w.high <= 60999 && w.high - w.low == PORT_WINDOW - 1);
    }
    ck_assert(ports_window((struct port_range){1, 65535}, UINT64_MAX, &w));
    ck_assert(!ports_window((struct port_range){40000, 40999}, 1, &w));
    ck_assert(!ports_window((struct port_range){2, 1}, 1, &w));
}
END_TEST

START_TEST(the_sysctl_is_read_as_the_kernel_shows_it) {
    struct port_range r;
    ck_assert(ports_read_sysctl("32768\t60999\n", &r));
    is(r, 32768, 60999);
    ck_assert(ports_read_sysctl("1 65535", &r));
    ck_assert(!ports_read_sysctl("", &r));
    ck_assert(!ports_read_sysctl("5", &r));
    ck_assert(!ports_read_sysctl("5 4", &r));
    ck_assert(!ports_read_sysctl("0 4", &r));
    ck_assert(!ports_read_sysctl("1 65536", &r));
    ck_assert(!ports_read_sysctl("x y", &r));
    ck_assert(!ports_read_sysctl("1 2 3", &r));
    ck_assert(!ports_read_sysctl("1 2\n3", &r));
    is(r, 1, 65535);
    r = PORTS_DEFAULT;
    is(r, 32768, 60999);
}
END_TEST

START_TEST(every_port_of_a_split_has_its_turn_once) {
    static const struct port_range ranges[] = {{1000, 1009}, {40000, 40004}, {32760, 32770}};
    struct port_split split;
    unsigned seen[65536] = {0};
    ports_split(&split, ranges, 3, (struct port_range){32768, 60999});
    ck_assert_uint_eq(ports_total(&split), 26);
    for (uint32_t i = 0; i < 26; i++)
        seen[ports_nth(&split, i)]++;
    for (unsigned r = 0; r < 3; r++)
        for (unsigned port = ranges[r].low; port <= ranges[r].high; port++)
            ck_assert_uint_eq(seen[port], 1);
    ck_assert_uint_eq(ports_nth(&split, 26), 0);
    ck_assert_uint_eq(ports_nth(&split, 0), 40000); /* those that a connect looks at first */
}
END_TEST

START_TEST(reserved_ports_are_counted_within_the_ranges) {
    static const struct port_range ranges[] = {{1000, 1999}, {3000, 3000}};
    static const struct {
        const char *text;
        uint32_t count;
    } rows[] = {
        {"", 0},
        {"\n", 0},
        {"1000\n", 1},
        {"999,2000\n", 0},
        {"999-1000,1999-3001\n", 3},
        {"1-65535\n", 1001},
        {"1100-1109,3000\n", 11},
        {"1100,x,1101\n", 1},
        {"1100-,1101", 0},
        {"1109-1100", 0},
        {"99999999999", 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_uint_eq(ports_reserved(rows[i].text, ranges, 2), rows[i].count);
    ck_assert_uint_eq(ports_reserved("1-65535", ranges, 0), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ports");
    TCase *t = tcase_create("ports");
    tcase_add_test(t, a_range_inside_is_left_as_it_is);
    tcase_add_test(t, a_range_outside_is_bound_explicitly);
    tcase_add_test(t, a_range_around_the_hosts_is_cut_in_three);
    tcase_add_test(t, a_range_over_an_edge_is_cut_in_two);
    tcase_add_test(t, every_port_is_on_exactly_one_side);
    tcase_add_test(t, scribbled_ranges_are_passed_over);
    tcase_add_test(t, as_many_ranges_as_a_pool_can_have_fit);
    tcase_add_test(t, a_window_lies_in_its_range);
    tcase_add_test(t, every_port_of_a_split_has_its_turn_once);
    tcase_add_test(t, reserved_ports_are_counted_within_the_ranges);
    tcase_add_test(t, the_sysctl_is_read_as_the_kernel_shows_it);
    suite_add_tcase(suite, t);
    return run(suite);
}
