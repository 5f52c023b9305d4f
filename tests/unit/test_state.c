/* state/state, state/create: a state file is built whole, once, and believed only as far as it was checked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/copy.h"
#include "state/folder.h"
#include "state/state.h"
#include "base/sys.h"
#include "suite.h"
#include "state/create.h"
#include "state/control.h"

enum { LOG_SIZE = 64 << 10, BUILDERS = 16 };

static char dir[64], path[STATE_PATH];
static struct state state;
static int error;

static void own_folder(void) {
    strcpy(dir, "/tmp/connspread-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert(state_path(path, dir, NULL, "test"));
    memset(&state, 0, sizeof state);
}

/* Removes the folder; returns how many files besides the state file were in it. */
static int sweep(void) {
    int strangers = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' && (e->d_name[1] == 0 || e->d_name[1] == '.'))
            continue;
        strangers += strcmp(e->d_name, "test.state") != 0 && strcmp(e->d_name, FOLDER_LOCK) != 0;
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    rmdir(dir);
    return strangers;
}

static void no_folder(void) {
    state_unmap(&state);
    ck_assert_msg(sweep() == 0, "temporaries were left behind");
}

static enum state_error create(void) {
    return state_create(&state, path, "test", (struct state_sizes){.log = LOG_SIZE}, &error);
}

static enum state_error map(void) {
    return state_map(&state, path, &error);
}

static int raw(void) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Overwrites bytes of the header of an existing file. */
static void scribble(size_t offset, const void *bytes, size_t length) {
    int fd = raw();
    ck_assert_int_eq((int)pwrite(fd, bytes, length, (off_t)offset), (int)length);
    close(fd);
}

START_TEST(a_created_file_is_private_to_its_owner_and_says_what_it_is) {
    struct stat st;
    ck_assert_int_eq(create(), STATE_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq((uint64_t)st.st_size, state.header->size + (uint64_t)SEGMENTS * SEGMENT_BYTES);
    ck_assert_msg((uint64_t)st.st_blocks * 512 >= sizeof(struct pair_table), "what it needs has no space");
    ck_assert_msg((uint64_t)st.st_blocks * 512 < 4000000, "it grows before it must");
    ck_assert_str_eq(state.header->instance, "test");
    ck_assert_uint_ne(state.epoch, 0);
    ck_assert_uint_eq(state.header->uid, geteuid());
    ck_assert(state.writable && !state.private_memory);
    ck_assert_uint_eq((state.cells[RING_INCIDENTS] + state.cells[RING_CLOSES]) * CELL_BYTES, LOG_SIZE);
}
END_TEST

START_TEST(a_missing_folder_is_made_with_mode_0700) {
    struct stat st;
    rmdir(dir);
    ck_assert_int_eq(create(), STATE_OK);
    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
}
END_TEST

START_TEST(a_second_create_maps_the_first_file) {
    ck_assert_int_eq(create(), STATE_OK);
    uint64_t epoch = state.epoch;
    state_unmap(&state);
    ck_assert_int_eq(create(), STATE_OK);
    ck_assert_uint_eq(state.epoch, epoch);
}
END_TEST

START_TEST(many_builders_at_once_make_one_file) {
    int pipes[2];
    uint64_t epoch[BUILDERS];
    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < BUILDERS; i++)
        if (fork() == 0) {
            enum state_error e = create();
            if (e != STATE_OK)
                state.epoch = 0;
            _exit(write(pipes[1], &state.epoch, sizeof epoch[0]) == sizeof epoch[0] ? 0 : 1);
        }
    for (int i = 0; i < BUILDERS; i++) {
        ck_assert_int_eq((int)read(pipes[0], &epoch[i], sizeof epoch[i]), sizeof epoch[i]);
        ck_assert_msg(epoch[i] != 0, "a builder got nothing");
        ck_assert_uint_eq(epoch[i], epoch[0]);
    }
    while (wait(NULL) > 0)
        ;
}
END_TEST

START_TEST(what_is_not_there_is_absent) {
    ck_assert_int_eq(map(), STATE_ABSENT);
    ck_assert_int_eq(error, ENOENT);
    ck_assert_int_eq(state_map(&state, "/dev/null/x", &error), STATE_ABSENT);
}
END_TEST

/* The lock of the folder, as another builder of the same user has it. */
static int lock_of_another(void) {
    char name[STATE_PATH];
    (void)snprintf(name, sizeof name, "%s/.lock", dir);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    return fd;
}

START_TEST(a_folder_locked_by_somebody_else_is_given_up_after_100_ms) {
    int fd = lock_of_another();
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    ck_assert_int_eq(create(), STATE_IO);
    uint64_t elapsed = (clock_ns(CLOCK_MONOTONIC) - before) / 1000000;
    ck_assert_int_eq(error, EWOULDBLOCK);
    ck_assert_uint_ge(elapsed, 95);
    ck_assert_uint_le(elapsed, 1000);
    ck_assert_int_eq(access(path, F_OK), -1);
    close(fd);
    ck_assert_int_eq(create(), STATE_OK);
}
END_TEST

START_TEST(whoever_can_read_the_folder_cannot_lock_it) {
    struct stat s;
    char name[STATE_PATH];
    ck_assert_int_eq(chmod(dir, 0755), 0);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(create(), STATE_OK);
    close(fd);
    (void)snprintf(name, sizeof name, "%s/.lock", dir);
    ck_assert_int_eq(stat(name, &s), 0);
    ck_assert_uint_eq(s.st_mode, S_IFREG | 0600);
}
END_TEST

START_TEST(a_umask_that_takes_everything_leaves_folder_and_files_usable) {
    struct stat s;
    char sub[STATE_PATH / 2], file[STATE_PATH];
    mode_t before = umask(0777);
    (void)snprintf(sub, sizeof sub, "%s/sub", dir);
    (void)snprintf(file, sizeof file, "%s/test.state", sub);
    ck_assert_int_eq(state_create(&state, file, "test", (struct state_sizes){.log = LOG_SIZE}, &error), STATE_OK);
    (void)umask(before);
    state_unmap(&state);
    ck_assert_int_eq(state_map(&state, file, &error), STATE_OK);
    ck_assert_int_eq(stat(sub, &s), 0);
    ck_assert_uint_eq(s.st_mode, S_IFDIR | 0700);
    ck_assert_int_eq(stat(file, &s), 0);
    ck_assert_uint_eq(s.st_mode, S_IFREG | 0600);
    unlink(file);
    (void)snprintf(file, sizeof file, "%s/.lock", sub);
    ck_assert_int_eq(stat(file, &s), 0);
    ck_assert_uint_eq(s.st_mode, S_IFREG | 0600);
    unlink(file);
    rmdir(sub);
}
END_TEST

START_TEST(a_file_published_by_the_holder_of_the_lock_is_taken) {
    char other[STATE_PATH];
    ck_assert_int_eq(create(), STATE_OK);
    int fd = lock_of_another();
    uint64_t epoch = state.epoch;
    state_unmap(&state);
    (void)snprintf(other, sizeof other, "%s/other", dir);
    ck_assert_int_eq(rename(path, other), 0);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(10000);
        _exit(rename(other, path)); /* keeps the lock through fd until here, and the parent after that */
    }
    ck_assert_int_eq(create(), STATE_OK);
    ck_assert_uint_eq(state.epoch, epoch);
    waitpid(pid, NULL, 0);
    close(fd);
}
END_TEST

START_TEST(a_lock_is_let_go_though_a_child_was_forked_under_it) {
    int fd = folder_open(dir, false, &error), lock = folder_lock(fd);
    ck_assert_int_ge(lock, 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    folder_unlock(lock);
    ck_assert_int_eq(create(), STATE_OK);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(a_file_size_limit_is_an_error_and_no_signal) {
    struct rlimit limit = {1 << 20, 1 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(create(), STATE_IO);
    ck_assert_int_eq(error, EFBIG);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(a_symbolic_link_is_not_followed) {
    char target[STATE_PATH];
    ck_assert_int_eq(create(), STATE_OK);
    state_unmap(&state);
    (void)snprintf(target, sizeof target, "%s/target", dir);
    ck_assert_int_eq(rename(path, target), 0);
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(map(), STATE_IO);
    ck_assert_int_eq(error, ELOOP);
    unlink(target);
    ck_assert_int_eq(create(), STATE_IO);
}
END_TEST

START_TEST(a_file_or_folder_that_others_may_write_to_is_refused) {
    static const mode_t mode[] = {0620, 0602, 0666};
    ck_assert_int_eq(create(), STATE_OK);
    for (int i = 0; i < 3; i++) {
        state_unmap(&state);
        ck_assert_int_eq(chmod(path, mode[i]), 0);
        ck_assert_int_eq(map(), STATE_NOT_OURS);
    }
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(chmod(dir, 01777), 0);
    ck_assert_int_eq(map(), STATE_NOT_OURS); /* one that is there, too */
    ck_assert_int_eq(chmod(dir, 0700), 0);
    ck_assert_int_eq(map(), STATE_OK);
    unlink(path);
    ck_assert_int_eq(chmod(dir, 01777), 0);
    ck_assert_int_eq(create(), STATE_NOT_OURS);
}
END_TEST

START_TEST(a_file_of_another_user_is_for_the_tool_of_root_alone) {
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(create(), STATE_OK);
    state_unmap(&state);
    ck_assert_int_eq(chown(path, 1, 1), 0);
    ck_assert_int_eq(map(), STATE_NOT_OURS);
    ck_assert_int_eq(create(), STATE_NOT_OURS);
    ck_assert_int_eq(state_copy(&state, AT_FDCWD, path, COPY_STATS, &error), STATE_OK);
    ck_assert(!state.writable);
    state_release(&state);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(seteuid(2), 0);
    ck_assert_int_ne(map(), STATE_OK);
    ck_assert_int_eq(state_copy(&state, AT_FDCWD, path, COPY_STATS, &error), STATE_NOT_OURS);
    ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(a_folder_that_is_a_symbolic_link_is_refused) {
    char link[STATE_PATH / 2], through[STATE_PATH];
    ck_assert_int_eq(create(), STATE_OK);
    (void)snprintf(link, sizeof link, "%s/link", dir);
    (void)snprintf(through, sizeof through, "%s/test.state", link);
    ck_assert_int_eq(symlink(dir, link), 0);
    ck_assert_int_ne(state_map(&state, through, &error), STATE_OK);
    ck_assert_int_ne(state_create(&state, through, "test", (struct state_sizes){.log = LOG_SIZE}, &error), STATE_OK);
    unlink(link);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_without_waiting) {
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(map(), STATE_NOT_A_STATE);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_ne(map(), STATE_OK);
    rmdir(path);
}
END_TEST

START_TEST(a_file_of_another_layout_or_magic_is_told_apart) {
    uint32_t layout = STATE_LAYOUT + 1;
    ck_assert_int_eq(create(), STATE_OK);
    state_unmap(&state);
    scribble(offsetof(struct state_header, layout), &layout, sizeof layout);
    ck_assert_int_eq(map(), STATE_OTHER_LAYOUT);
    ck_assert_int_eq(create(), STATE_OTHER_LAYOUT);
    scribble(0, "garbage!", 8);
    ck_assert_int_eq(map(), STATE_NOT_A_STATE);
}
END_TEST

START_TEST(a_truncated_file_is_refused) {
    ck_assert_int_eq(create(), STATE_OK);
    off_t size = (off_t)state.header->size;
    state_unmap(&state);
    off_t sizes[] = {size - 1, size / 2, 4096, (off_t)sizeof(struct state_header) - 1, 1, 0};
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(truncate(path, sizes[i]), 0);
        ck_assert_int_eq(map(), STATE_NOT_A_STATE);
    }
}
END_TEST

START_TEST(a_section_that_does_not_fit_is_refused) {
    static const uint64_t wrong[] = {1, 63, 64, 639, 1u << 30, UINT64_MAX, UINT64_MAX - 63, (uint64_t)1 << 63};
    ck_assert_int_eq(create(), STATE_OK);
    struct state_header good = *state.header;
    state_unmap(&state);
    for (unsigned s = 0; s < SECTIONS; s++)
        for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            struct state_header bad = good;
            bad.section[s].offset = wrong[i];
            scribble(0, &bad, sizeof bad);
            ck_assert_msg(map() == STATE_NOT_A_STATE, "section %u at %#lx", s, (unsigned long)wrong[i]);
            bad = good;
            bad.section[s].size = wrong[i];
            scribble(0, &bad, sizeof bad);
            ck_assert_msg(map() == STATE_NOT_A_STATE, "section %u of %#lx bytes", s, (unsigned long)wrong[i]);
            bad = good;
            bad.section[s].offset = good.size - good.section[s].size + 64;
            scribble(0, &bad, sizeof bad);
            ck_assert_int_eq(map(), STATE_NOT_A_STATE);
        }
    scribble(0, &good, sizeof good);
    ck_assert_int_eq(map(), STATE_OK);
}
END_TEST

START_TEST(private_memory_is_shared_with_children_and_needs_no_file) {
    struct state own;
    ck_assert(state_private(&own, "test"));
    ck_assert(own.private_memory && own.writable);
    pid_t pid = fork();
    if (pid == 0) {
        state_count(&own, ARM_OBSERVE, COUNT_CONNECTS);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    ck_assert_uint_eq(state_counter(&own, COUNT_CONNECTS), 1);
    state_unmap(&own);
    ck_assert_ptr_null(own.header);
}
END_TEST

static bool named(const char *given, const char *config, const char *want) {
    char out[STATE_INSTANCE] = "before", file[STATE_PATH];
    bool valid = state_instance(out, given, config);
    ck_assert_str_eq(out, valid ? want : "");
    ck_assert(state_path(file, "/x", NULL, out) == valid);
    return valid;
}

START_TEST(an_instance_is_named_after_its_config) {
    ck_assert(named(NULL, NULL, "default"));
    ck_assert(named("web", "/etc/redis.conf", "web"));
    ck_assert(named(NULL, "/etc/connspread/redis.conf", "redis"));
    ck_assert(named(NULL, "web.v2.conf", "web.v2"));
    ck_assert(named("web.v2.conf", NULL, "web.v2.conf"));
    ck_assert(named(NULL, "/etc.d/plain", "plain"));
    ck_assert(named(NULL, "/etc/a.", "a"));
    ck_assert(named(NULL, "/etc/ \t\xff\xc3\xa9'\"$.conf", " \t\xff\xc3\xa9'\"$"));
    ck_assert(!named("", "/etc/redis.conf", NULL));
    ck_assert(!named("a/b", NULL, NULL));
    ck_assert(!named(".a", NULL, NULL));
    ck_assert(!named(NULL, "/etc/", NULL));
    ck_assert(!named(NULL, "/etc/.conf", NULL));
    ck_assert(!named(NULL, "..", NULL));
}
END_TEST

/* Every suffix begins at another place of a name that is cut at 63 bytes. */
START_TEST(a_name_of_63_bytes_is_the_longest) {
    static const char *const suffix[] = {".conf", ".d", "", "."};
    for (size_t length = 62; length <= 65; length++) {
        char stem[66], config[80];
        memset(stem, 'n', length);
        stem[30] = '.';
        stem[length] = 0;
        bool fits = length < STATE_INSTANCE;
        ck_assert(named(stem, NULL, stem) == fits);
        for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++) {
            snprintf(config, sizeof config, "/etc/%s%s", stem, suffix[i]);
            if (suffix[i][0])
                ck_assert(named(NULL, config, stem) == fits);
            else
                ck_assert(named(NULL, config, "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"));
        }
    }
}
END_TEST

START_TEST(a_path_is_made_of_folder_and_instance_or_refused) {
    char out[STATE_PATH], longest[STATE_PATH + 1], name[STATE_INSTANCE + 1];
    memset(longest, 'd', STATE_PATH);
    longest[STATE_PATH] = 0;
    memset(name, 'n', STATE_INSTANCE);
    name[STATE_INSTANCE] = 0;
    ck_assert(state_path(out, "/x", NULL, "a"));
    ck_assert_str_eq(out, "/x/a.state");
    ck_assert(!state_path(out, "/x", NULL, "a/b"));
    ck_assert(!state_path(out, "/x", NULL, ".a"));
    ck_assert(!state_path(out, "/x", NULL, ""));
    ck_assert(!state_path(out, longest, NULL, "a"));
    ck_assert(!state_path(out, "/x", NULL, name));
    ck_assert(state_path(out, "/x", NULL, name + 1));
    if (geteuid() == 0 && seteuid(77) == 0) {
        ck_assert(state_path(out, NULL, "/run/user/77", "a"));
        ck_assert_str_eq(out, "/run/user/77/connspread/a.state");
        ck_assert(state_path(out, NULL, "relative", "a"));
        ck_assert_str_eq(out, "/dev/shm/connspread-77/a.state");
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert(state_path(out, "", "/run/user/0", "a"));
        ck_assert_str_eq(out, "/run/connspread/a.state");
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("state");
    TCase *tc = tcase_create("state");
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_created_file_is_private_to_its_owner_and_says_what_it_is);
    tcase_add_test(tc, a_missing_folder_is_made_with_mode_0700);
    tcase_add_test(tc, a_second_create_maps_the_first_file);
    tcase_add_test(tc, many_builders_at_once_make_one_file);
    tcase_add_test(tc, what_is_not_there_is_absent);
    tcase_add_test(tc, a_folder_locked_by_somebody_else_is_given_up_after_100_ms);
    tcase_add_test(tc, a_file_published_by_the_holder_of_the_lock_is_taken);
    tcase_add_test(tc, a_lock_is_let_go_though_a_child_was_forked_under_it);
    tcase_add_test(tc, a_file_size_limit_is_an_error_and_no_signal);
    tcase_add_test(tc, whoever_can_read_the_folder_cannot_lock_it);
    tcase_add_test(tc, a_umask_that_takes_everything_leaves_folder_and_files_usable);
    tcase_add_test(tc, a_folder_that_is_a_symbolic_link_is_refused);
    tcase_add_test(tc, a_symbolic_link_is_not_followed);
    tcase_add_test(tc, a_file_or_folder_that_others_may_write_to_is_refused);
    tcase_add_test(tc, a_file_of_another_user_is_for_the_tool_of_root_alone);
    tcase_add_test(tc, what_is_no_regular_file_is_refused_without_waiting);
    tcase_add_test(tc, a_file_of_another_layout_or_magic_is_told_apart);
    tcase_add_test(tc, a_truncated_file_is_refused);
    tcase_add_test(tc, a_section_that_does_not_fit_is_refused);
    tcase_add_test(tc, private_memory_is_shared_with_children_and_needs_no_file);
    tcase_add_test(tc, a_path_is_made_of_folder_and_instance_or_refused);
    tcase_add_test(tc, an_instance_is_named_after_its_config);
    tcase_add_test(tc, a_name_of_63_bytes_is_the_longest);
    suite_add_tcase(suite, tc);
    return run(suite);
}
