/* The recorder's file: whole lines, each number once, found again by the next recorder. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/events/format.h"
#include "tool/record/logfile.h"
#include "suite.h"
#include "tool/events/json.h"
#include "tool/record/logfile_resume.h"

enum { EPOCH = 0xabc };

static char folder[64], path[128], renamed[128], journal_path[128];
static struct journal j;
static struct logfile *l;
static char content[1 << 16];

static void set_up(void) {
    snprintf(folder, sizeof folder, "/tmp/connspread-logfile-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(renamed, sizeof renamed, "%s/log.1", folder);
    snprintf(journal_path, sizeof journal_path, "%s/x.recorder", folder);
    ck_assert_int_eq(journal_open(&j, journal_path), JOURNAL_OURS);
    journal_begin(&j, EPOCH);
    l = malloc(sizeof *l);
    ck_assert_ptr_nonnull(l);
    logfile_init(l, path, &j);
}

static void tear_down(void) {
    logfile_end(l);
    free(l);
    journal_close(&j);
    unlink(path);
    unlink(renamed);
    unlink(journal_path);
    rmdir(folder);
}

static const char *line_of(uint64_t seq) {
    static char line[EVENT_LINE_MAX];
    struct event_record r = {.e = {.kind = EVENT_TIME_WAIT, .seq = seq, .time_us = 1795231679000000, .program = "x"}};
    const struct event_context context = {.epoch = EPOCH, .host = "h", .instance = "i"};
    ck_assert_int_gt(event_json(&r, &context, line, sizeof line), 0);
    return line;
}

static void add(uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq < to; seq++)
        logfile_add(l, seq, line_of(seq), strlen(line_of(seq)));
}

static void write_lines(uint64_t from, uint64_t to) {
    add(from, to);
    ck_assert(logfile_flush(l));
}

/* What a recorder writes that is killed before it notes it. */
static void write_behind_the_journal(const char *file, const char *text) {
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT, 0640);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static const char *read_file(const char *file) {
    int fd = open(file, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, content, sizeof content - 1);
    if (fd >= 0)
        close(fd);
    content[n > 0 ? n : 0] = 0;
    return content;
}

static unsigned count_lines(const char *file) {
    unsigned n = 0;
    for (const char *at = read_file(file); (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

static void next_recorder(void) {
    logfile_end(l);
    journal_close(&j);
    ck_assert_int_eq(journal_open(&j, journal_path), JOURNAL_OURS);
    journal_begin(&j, EPOCH);
    logfile_init(l, path, &j);
    logfile_resume(l, EPOCH);
}

START_TEST(the_number_of_a_line_is_read_without_a_parser) {
    uint64_t epoch, seq;
    const char *line = line_of(UINT64_MAX - 1);
    ck_assert(logfile_line_number(line, strlen(line), &epoch, &seq));
    ck_assert_uint_eq(epoch, EPOCH);
    ck_assert_uint_eq(seq, UINT64_MAX - 1);
    /* Cut anywhere before the number's end it is none of ours. */
    size_t end = (size_t)(strstr(line, ",\"event\"") - line);
    for (size_t n = 0; n <= end; n++)
        ck_assert(!logfile_line_number(line, n, &epoch, &seq));
    ck_assert(!logfile_line_number("{\"seq\":1}", 9, &epoch, &seq));
}
END_TEST

START_TEST(lines_are_written_and_noted) {
    write_lines(0, 10);
    ck_assert_uint_eq(count_lines(path), 10);
    ck_assert(journal_has(&j, 0) && journal_has(&j, 9) && !journal_has(&j, 10));
    struct stat s;
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_uint_eq(j.file->size, (uint64_t)s.st_size);
    ck_assert_uint_eq(j.file->inode, s.st_ino);
}
END_TEST

START_TEST(a_renamed_file_is_left_alone) {
    write_lines(0, 3);
    ck_assert_int_eq(rename(path, renamed), 0);
    write_lines(3, 5);
    ck_assert_uint_eq(count_lines(renamed), 3);
    ck_assert_uint_eq(count_lines(path), 2);
}
END_TEST

START_TEST(a_cut_file_is_appended_to_from_its_start) {
    write_lines(0, 3);
    ck_assert_int_eq(truncate(path, 0), 0);
    write_lines(3, 4);
    ck_assert_uint_eq(count_lines(path), 1);
    ck_assert_int_eq(content[0], '{');
}
END_TEST

START_TEST(what_was_written_and_not_noted_is_found) {
    write_lines(0, 3);
    write_behind_the_journal(path, line_of(3));
    write_behind_the_journal(path, "\n");
    next_recorder();
    ck_assert(journal_has(&j, 3) && !journal_has(&j, 4));
}
END_TEST

/* Whatever lies there is not kept in memory: the file may have been written by another hand. */
START_TEST(a_hole_and_a_long_line_take_no_memory) {
    static const char block[1 << 16];
    struct rusage before, after;
    write_lines(0, 3);
    int fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_ge(fd, 0);
    if (_i == 0)
        ck_assert_int_eq(ftruncate(fd, 1LL << 40), 0);
    else
        for (unsigned n = 0; n < (80 << 20) / sizeof block; n++)
            ck_assert_int_eq(write(fd, block, sizeof block), (ssize_t)sizeof block);
    close(fd);
    write_behind_the_journal(path, "\n");
    write_behind_the_journal(path, line_of(3));
    write_behind_the_journal(path, "\n");
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    next_recorder();
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
    ck_assert(journal_has(&j, 2) && journal_has(&j, 3) && !journal_has(&j, 4));
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 40 << 10);
}
END_TEST

START_TEST(it_is_found_in_a_file_that_was_renamed_meanwhile) {
    write_lines(0, 3);
    write_behind_the_journal(path, line_of(3));
    write_behind_the_journal(path, "\n");
    ck_assert_int_eq(rename(path, renamed), 0);
    next_recorder();
    ck_assert(journal_has(&j, 3));
}
END_TEST

START_TEST(it_is_found_in_a_file_that_was_cut_meanwhile) {
    write_lines(0, 30);
    ck_assert_int_eq(truncate(path, 0), 0);
    write_behind_the_journal(path, line_of(30));
    write_behind_the_journal(path, "\n");
    next_recorder();
    ck_assert(journal_has(&j, 30));
}
END_TEST

START_TEST(half_a_line_is_cut_off) {
    char half[EVENT_LINE_MAX];
    write_lines(0, 3);
    snprintf(half, sizeof half, "%.*s", 1 + _i * 20, line_of(3));
    write_behind_the_journal(path, half);
    next_recorder();
    ck_assert(!journal_has(&j, 3));
    ck_assert_uint_eq(count_lines(path), 3);
    ck_assert_int_eq(content[strlen(content) - 1], '\n');
    write_lines(3, 4);
    ck_assert_uint_eq(count_lines(path), 4);
}
END_TEST

START_TEST(a_text_of_somebody_else_becomes_a_line) {
    write_behind_the_journal(path, "not ours");
    next_recorder();
    write_lines(0, 1);
    ck_assert_int_eq(strncmp(read_file(path), "not ours\n{", 10), 0);
}
END_TEST

START_TEST(without_a_journal_the_file_itself_tells) {
    write_lines(1000000, 1000010);
    for (uint64_t seq = 1000010; seq < 1000020; seq++) {
        write_behind_the_journal(path, line_of(seq));
        write_behind_the_journal(path, "\n");
    }
    logfile_end(l);
    journal_close(&j);
    unlink(journal_path);
    next_recorder();
    ck_assert(journal_has(&j, 1000000) && journal_has(&j, 1000019) && !journal_has(&j, 1000020));
}
END_TEST

START_TEST(lines_of_another_epoch_are_not_noted) {
    write_behind_the_journal(path, line_of(7));
    write_behind_the_journal(path, "\n");
    journal_begin(&j, EPOCH + 1);
    logfile_resume(l, EPOCH + 1);
    ck_assert(!journal_has(&j, 7));
}
END_TEST

START_TEST(what_cannot_be_written_stays) {
    ck_assert_int_eq(mkdir(path, 0700), 0);
    add(0, 5);
    ck_assert(!logfile_flush(l));
    ck_assert(!journal_has(&j, 0));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert(!logfile_flush(l)); /* not at once again */
    usleep(250000);
    ck_assert(logfile_flush(l));
    ck_assert_uint_eq(count_lines(path), 5);
}
END_TEST

START_TEST(a_link_a_fifo_and_a_folder_are_refused) {
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    ck_assert_int_lt(logfile_open(path), 0);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_lt(logfile_open(path), 0);
    ck_assert_int_lt(logfile_open(folder), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("logfile");
    TCase *tc = tcase_create("logfile");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_number_of_a_line_is_read_without_a_parser);
    tcase_add_test(tc, lines_are_written_and_noted);
    tcase_add_test(tc, a_renamed_file_is_left_alone);
    tcase_add_test(tc, a_cut_file_is_appended_to_from_its_start);
    tcase_add_test(tc, what_was_written_and_not_noted_is_found);
    tcase_add_loop_test(tc, a_hole_and_a_long_line_take_no_memory, 0, 2);
    tcase_add_test(tc, it_is_found_in_a_file_that_was_renamed_meanwhile);
    tcase_add_test(tc, it_is_found_in_a_file_that_was_cut_meanwhile);
    tcase_add_loop_test(tc, half_a_line_is_cut_off, 0, 12);
    tcase_add_test(tc, a_text_of_somebody_else_becomes_a_line);
    tcase_add_test(tc, without_a_journal_the_file_itself_tells);
    tcase_add_test(tc, lines_of_another_epoch_are_not_noted);
    tcase_add_test(tc, what_cannot_be_written_stays);
    tcase_add_test(tc, a_link_a_fifo_and_a_folder_are_refused);
    suite_add_tcase(suite, tc);
    return run(suite);
}
