/* What `connspread run` decides before it executes a program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/locate.h"
#include "tool/preload.h"
#include "tool/host/preloadable.h"
#include "tool/host/sanitizer.h"
#include "suite.h"

#define SHIM "/usr/local/lib/connspread/libconnspread.so"

static void expect_preload(const char *current, const char *expected) {
    char *value = preload_compose(SHIM, current, "");
    ck_assert_str_eq(value, expected);
    free(value);
}

START_TEST(the_shim_comes_first_and_once) {
    expect_preload(NULL, SHIM);
    expect_preload("", SHIM);
    expect_preload("libjemalloc.so.2", SHIM ":libjemalloc.so.2");
    expect_preload("/a.so:/b.so /c.so", SHIM ":/a.so:/b.so:/c.so");
    expect_preload(SHIM, SHIM);
    expect_preload("/a.so:" SHIM ":/b.so", SHIM ":/a.so:/b.so");
    expect_preload("/other/libconnspread.so /a.so libconnspread.so", SHIM ":/a.so");
    expect_preload("/a/notlibconnspread.so", SHIM ":/a/notlibconnspread.so");
    expect_preload(": :  ", SHIM);
}
END_TEST

START_TEST(a_sanitizer_comes_before_the_shim) {
    char *value = preload_compose(SHIM, "/a.so", "libasan.so.8");
    ck_assert_str_eq(value, "libasan.so.8:" SHIM ":/a.so");
    free(value);
    value = preload_compose(SHIM, "/a.so:/lib/libasan.so.6", "libasan.so.8");
    ck_assert_str_eq(value, "/lib/libasan.so.6:" SHIM ":/a.so");
    free(value);
    expect_preload("libtsan.so.2 " SHIM, "libtsan.so.2:" SHIM);
    expect_preload("/llvm/libclang_rt.asan-x86_64.so", "/llvm/libclang_rt.asan-x86_64.so:" SHIM);
    expect_preload("/libasan.so/other.so", SHIM ":/libasan.so/other.so");
    expect_preload("notlibasan.so", SHIM ":notlibasan.so");
}
END_TEST

START_TEST(only_a_program_that_needs_one_gets_one) {
    char name[SANITIZER_NAME] = "";
    ck_assert(!sanitizer_needed("/bin/sh", name));
    ck_assert(!sanitizer_needed("/nonexistent", name));
    ck_assert(!sanitizer_needed("/etc/passwd", name));
    ck_assert_str_eq(name, "");
}
END_TEST

START_TEST(options_come_before_the_environment) {
    struct location where;
    char error[LOCATE_ERROR] = "";
    setenv("CONNSPREAD_DIR", "/states", 1);
    setenv("CONNSPREAD_CONF", "/from/environment.conf", 1);
    unsetenv("CONNSPREAD_INSTANCE");
    ck_assert(locate(&where, NULL, NULL, error));
    ck_assert_str_eq(where.state_file, "/states/environment.state");
    ck_assert_str_eq(where.folder, "/states");
    ck_assert(locate(&where, "/from/option.conf", NULL, error));
    ck_assert_str_eq(where.config, "/from/option.conf");
    ck_assert_str_eq(where.instance, "option");
    setenv("CONNSPREAD_INSTANCE", "named", 1);
    ck_assert(locate(&where, "/from/option.conf", NULL, error));
    ck_assert_str_eq(where.instance, "named");
    ck_assert(locate(&where, NULL, "wanted", error));
    ck_assert_str_eq(where.state_file, "/states/wanted.state");
}
END_TEST

START_TEST(a_relative_config_becomes_absolute) {
    struct location where;
    char error[LOCATE_ERROR] = "";
    ck_assert_int_eq(chdir("/usr"), 0);
    ck_assert(locate(&where, "some.conf", NULL, error));
    ck_assert_str_eq(where.config, "/usr/some.conf");
}
END_TEST

START_TEST(an_instance_cannot_leave_its_folder) {
    static const char *const bad[] = {"", ".hidden", "../other", "a/b",
                                      "0123456789012345678901234567890123456789012345678901234567890123"};
    struct location where;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char error[LOCATE_ERROR] = "";
        ck_assert(!locate(&where, NULL, bad[i], error));
        ck_assert_str_ne(error, "");
    }
}
END_TEST

/* A file of a few bytes in a temporary folder. */
static void write_file(char path[64], const char *bytes, size_t length, mode_t mode) {
    strcpy(path, "/tmp/preloadable-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, bytes, length), (int)length);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

START_TEST(this_program_can_be_preloaded_and_so_can_a_script_for_it) {
    char self[4096] = "", script[4200], path[64];
    ck_assert_int_gt((int)readlink("/proc/self/exe", self, sizeof self - 1), 0);
    ck_assert_int_eq(preloadable(self), PRELOAD_OK);
    int n = snprintf(script, sizeof script, "#! %s -x\n", self);
    write_file(path, script, (size_t)n, 0755);
    ck_assert_int_eq(preloadable(path), PRELOAD_OK);
    unlink(path);
}
END_TEST

START_TEST(what_is_no_program_is_not_judged) {
    char path[64];
    ck_assert_int_eq(preloadable("/nonexistent"), PRELOAD_UNREADABLE);
    ck_assert_int_eq(preloadable("/"), PRELOAD_UNREADABLE);
    write_file(path, "\177ELF", 4, 0755);
    ck_assert_int_eq(preloadable(path), PRELOAD_UNREADABLE);
    unlink(path);
    write_file(path, "#!", 2, 0755);
    ck_assert_int_eq(preloadable(path), PRELOAD_UNREADABLE);
    unlink(path);
}
END_TEST

/* The first bytes of this very program, altered. */
START_TEST(other_kinds_of_program_are_told_apart) {
    char head[4096], path[64];
    FILE *self = fopen("/proc/self/exe", "re");
    ck_assert_ptr_nonnull(self);
    size_t n = fread(head, 1, sizeof head, self);
    fclose(self);
    struct {
        size_t at;
        char value;
        enum preloadable expected;
    } change[] = {{4, head[4] == 1 ? 2 : 1, PRELOAD_OTHER_CLASS},
                  {18, 99, PRELOAD_OTHER_MACHINE},
                  {sizeof(void *) == 8 ? 56 : 44, 0, PRELOAD_STATIC}};
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        char was = head[change[i].at];
        head[change[i].at] = change[i].value;
        write_file(path, head, n, 0755);
        ck_assert_int_eq(preloadable(path), change[i].expected);
        ck_assert_ptr_nonnull(preloadable_text(change[i].expected));
        unlink(path);
        head[change[i].at] = was;
    }
}
END_TEST

START_TEST(programs_are_found_as_a_shell_finds_them) {
    char out[PRELOADABLE_PATH];
    setenv("PATH", "/nonexistent:/bin:/usr/bin", 1);
    ck_assert(find_program(out, "sh"));
    ck_assert_str_eq(out, "/bin/sh");
    ck_assert(find_program(out, "/bin/sh"));
    ck_assert(!find_program(out, "no-such-program"));
    ck_assert(!find_program(out, ""));
    ck_assert(!find_program(out, "/etc/passwd"));
}
END_TEST

int main(void) {
    Suite *s = suite_create("cli_preload");
    TCase *t = tcase_create("preload");
    tcase_add_test(t, the_shim_comes_first_and_once);
    tcase_add_test(t, a_sanitizer_comes_before_the_shim);
    tcase_add_test(t, only_a_program_that_needs_one_gets_one);
    tcase_add_test(t, options_come_before_the_environment);
    tcase_add_test(t, a_relative_config_becomes_absolute);
    tcase_add_test(t, an_instance_cannot_leave_its_folder);
    tcase_add_test(t, this_program_can_be_preloaded_and_so_can_a_script_for_it);
    tcase_add_test(t, what_is_no_program_is_not_judged);
    tcase_add_test(t, other_kinds_of_program_are_told_apart);
    tcase_add_test(t, programs_are_found_as_a_shell_finds_them);
    suite_add_tcase(s, t);
    return run(s);
}
