/* suite.h - what every unit test program shares. */
#ifndef CONNSPREAD_TESTS_UNIT_SUITE_H
#define CONNSPREAD_TESTS_UNIT_SUITE_H

#include <check.h>

/* Runs a suite and prints its total and its failures; returns the exit status for main. */
static inline int run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
