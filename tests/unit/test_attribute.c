/* One attribute of a netlink message, whatever the message says of its own lengths. */
#include <string.h>

#include "net/attribute.h"
#include "suite.h"

static const unsigned char two[] = {6, 0, 1, 0, 'a', 'b', 0, 0, 8, 0, 2, 0, 'w', 'x', 'y', 'z'};

START_TEST(found_by_its_type) {
    ck_assert_ptr_eq(attribute_find(two, sizeof two, 1, 2), two + 4);
    ck_assert_ptr_eq(attribute_find(two, sizeof two, 2, 4), two + 12);
    ck_assert_ptr_null(attribute_find(two, sizeof two, 3, 0));
    ck_assert_ptr_null(attribute_find(two, 0, 1, 0));
}
END_TEST

START_TEST(too_short_a_one_is_none) {
    ck_assert_ptr_null(attribute_find(two, sizeof two, 1, 3));
    ck_assert_ptr_null(attribute_find(two, sizeof two, 2, 5));
}
END_TEST

START_TEST(lengths_that_lie_end_the_search) {
    unsigned char bad[sizeof two];
    ck_assert_ptr_null(attribute_find(two, sizeof two - 1, 2, 0)); /* beyond the end */
    for (unsigned char length = 0; length < 4; length++) {
        memcpy(bad, two, sizeof bad);
        bad[0] = length;
        ck_assert_ptr_null(attribute_find(bad, sizeof bad, 2, 0));
    }
    static const unsigned char padded[] = {6, 0, 1, 0, 'a', 'b'}; /* its padding is not there */
    ck_assert_ptr_eq(attribute_find(padded, sizeof padded, 1, 2), padded + 4);
    ck_assert_ptr_null(attribute_find(padded, sizeof padded, 2, 0));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("attribute");
    TCase *tcase = tcase_create("attribute");
    tcase_add_test(tcase, found_by_its_type);
    tcase_add_test(tcase, too_short_a_one_is_none);
    tcase_add_test(tcase, lengths_that_lie_end_the_search);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
