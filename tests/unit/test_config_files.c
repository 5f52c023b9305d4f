/* config: reading the file itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"
#include "suite.h"
#include "policy/policy.h"

static struct policy policy;
static char errors[16384], path[] = "/tmp/connspread-test-XXXXXX";

static void setup(void) {
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void) {
    unlink(path);
    rmdir(path);
}

static void write_file(const void *text, size_t length) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(the_origin_is_that_of_the_file) {
    struct policy_origin origin;
    struct stat s;
    write_file("mode = off\n", 11);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_uint_eq(policy.origin.inode, s.st_ino);
    ck_assert_uint_eq(policy.origin.device, s.st_dev);
    ck_assert_uint_eq(policy.origin.size, 11);
    ck_assert(config_origin(path, &origin));
    ck_assert_mem_eq(&origin, &policy.origin, sizeof origin);
    ck_assert_str_eq(policy.path, path);
}
END_TEST

START_TEST(the_origin_of_a_missing_file_is_an_error) {
    struct policy_origin origin;
    ck_assert(!config_origin("/nonexistent/file", &origin));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_missing_file_is_named) {
    ck_assert_int_eq(config_load("/nonexistent/file", &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "/nonexistent/file: No such file or directory; try: "));
}
END_TEST

START_TEST(a_directory_is_refused) {
    ck_assert_int_eq(config_load("/", &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "/: is a directory; try: "));
}
END_TEST

START_TEST(a_fifo_and_a_device_are_refused_without_waiting) {
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "is not a regular file"));
    ck_assert_int_eq(config_load("/dev/zero", &policy, errors, sizeof errors), 1);
}
END_TEST

START_TEST(an_unreadable_file_is_refused) {
    write_file("", 0);
    chmod(path, 0);
    bool root = geteuid() == 0; /* reads everything: become somebody else for this */
    if (root)
        ck_assert_int_eq(seteuid(65534), 0);
    int count = config_load(path, &policy, errors, sizeof errors);
    if (root)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_ptr_nonnull(strstr(errors, ": Permission denied; try: "));
}
END_TEST

START_TEST(a_nul_byte_is_refused_with_its_line) {
    write_file("mode = off\n\0mode = on\n", 22);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, ":2: byte 0x00"));
}
END_TEST

START_TEST(one_mebibyte_is_read_and_one_more_byte_refused) {
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', size);
    write_file(text, size - 1);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    write_file(text, size);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "more than 1 MiB"));
    free(text);
}
END_TEST

START_TEST(large_hostile_files_come_to_an_end_soon) {
    static const char *const units[] = {"{",     "}",  "a{", "pool p{}", "mode=a ", "a=b ",
                                        "log{}", "\"", "x ", "a={b,",    "# ",      "/*"};
    size_t size = (1 << 20) - 8, length = strlen(units[_i]);
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < size; i++)
        text[i] = units[_i][i % length];
    config_parse("f", text, size, &policy, errors, sizeof errors);
    memcpy(text, "pool p{addresses={lo", 20);
    for (size_t i = 20; i + 3 <= size - 2; i += 3)
        memcpy(text + i, ",lo", 3);
    memcpy(text + size - 2, "}}", 2);
    config_parse("f", text, size, &policy, errors, sizeof errors);
    free(text);
}
END_TEST

START_TEST(no_descriptor_stays_open) {
    int before = dup(0);
    close(before);
    write_file("pool p { addresses = lo exclude-ports = 7 }", 43);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    config_load("/", &policy, errors, sizeof errors);
    int after = dup(0);
    close(after);
    ck_assert_int_eq(before, after);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_files");
    TCase *tcase = tcase_create("config_files");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, the_origin_is_that_of_the_file);
    tcase_add_test(tcase, the_origin_of_a_missing_file_is_an_error);
    tcase_add_test(tcase, a_missing_file_is_named);
    tcase_add_test(tcase, a_directory_is_refused);
    tcase_add_test(tcase, a_fifo_and_a_device_are_refused_without_waiting);
    tcase_add_test(tcase, an_unreadable_file_is_refused);
    tcase_add_test(tcase, a_nul_byte_is_refused_with_its_line);
    tcase_add_test(tcase, one_mebibyte_is_read_and_one_more_byte_refused);
    tcase_add_loop_test(tcase, large_hostile_files_come_to_an_end_soon, 0, 12);
    tcase_add_test(tcase, no_descriptor_stays_open);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
