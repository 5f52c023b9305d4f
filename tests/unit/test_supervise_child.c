/* The process in which a supervised program will be executed: only when its supervisor says so. */
#include <unistd.h>

#include "tool/supervise/child.h"
#include "tool/supervise/letter.h"
#include "suite.h"

enum { EXECUTED = 7, NOT_EXECUTED = 126 };

static int execute(char **command) {
    (void)command;
    return EXECUTED;
}

static int run_with(const enum letter_kind *letters, unsigned n) {
    const struct supervision s = {.execute = execute};
    int ends[2];
    ck_assert(letter_pair(ends));
    for (unsigned i = 0; i < n; i++)
        letter_send(ends[0], letters[i], 0, -1);
    close(ends[0]);
    int status = child_run(&s, ends[1]);
    close(ends[1]);
    return status;
}

/* The process that was started runs the command bare then, if it was not told of a program. */
START_TEST(a_supervisor_that_ends_before_leaves_nothing_running) {
    static const enum letter_kind letters[] = {LETTER_BARE};
    ck_assert_int_eq(run_with(letters, (unsigned)_i), NOT_EXECUTED);
}
END_TEST

START_TEST(bare_when_told_so) {
    static const enum letter_kind letters[] = {LETTER_BARE, LETTER_EXECUTE};
    ck_assert_int_eq(run_with(letters, 2), EXECUTED);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("supervise_child");
    TCase *tc = tcase_create("supervise_child");
    tcase_add_loop_test(tc, a_supervisor_that_ends_before_leaves_nothing_running, 0, 2);
    tcase_add_test(tc, bare_when_told_so);
    suite_add_tcase(suite, tc);
    return run(suite);
}
