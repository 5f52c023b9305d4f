/* A state file read without mapping it: what it has, and what becomes of one that is cut. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/copy.h"
#include "state/open_chunk.h"
#include "state/ring.h"
#include "scratch.h"
#include "suite.h"
#include "state/create.h"
#include "state/ring_reader.h"
#include "state/segment.h"
#include "tool/reader/source.h"

enum { LOG_SIZE = 1 << 20 };

static struct state state;
static int error;

static void own_folder(void) {
    scratch_begin();
    state = (struct state){0};
}

static void no_folder(void) {
    state_release(&state);
    scratch_end();
}

static enum state_error create(void) {
    return state_create(&state, path, "test", (struct state_sizes){.log = LOG_SIZE}, &error);
}

START_TEST(a_copy_of_a_file_that_was_cut_is_an_error_and_no_signal) {
    static const off_t size[] = {4096, 100000, 3000000};
    for (int i = 0; i < 3; i++) {
        unlink(path);
        ck_assert_int_eq(create(), STATE_OK);
        state_unmap(&state);
        ck_assert_int_eq(state_copy(&state, AT_FDCWD, path, COPY_STATS, &error), STATE_OK);
        ck_assert_int_eq(truncate(path, size[i]), 0);
        ck_assert(!state_copy_again(&state, COPY(SECTION_HISTORY)));
        state_release(&state);
        ck_assert_int_ne(state_copy(&state, AT_FDCWD, path, COPY_STATS, &error), STATE_OK);
    }
}
END_TEST

/* Bytes of memory that this process has of its own. */
static unsigned long own_memory(void) {
    unsigned long all = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*u %lu %lu", &all, &shared), 2);
    (void)fclose(f);
    return (all - shared) * (unsigned long)sysconf(_SC_PAGESIZE);
}

/* One word of data in each segment of the history, behind a hole. */
START_TEST(holes_of_the_segments_cost_no_memory) {
    const uint64_t word = 77;
    struct state copy;
    ck_assert_int_eq(create(), STATE_OK);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    memset(state.header->segment, SEGMENT_HISTORY, SEGMENTS);
    for (unsigned i = 1; i <= SEGMENTS; i++)
        ck_assert_int_eq(pwrite(fd, &word, 8, (off_t)(state.header->size + (uint64_t)i * SEGMENT_BYTES - 8)), 8);
    (void)close(fd);
    unsigned long before = own_memory();
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY(SECTION_HISTORY), &error), STATE_OK);
    for (int again = 0; again < 2; again++) {
        const struct history_minute *last = segment_find(copy.segments, SEGMENTS - 1, SEGMENT_HISTORY);
        ck_assert_ptr_nonnull(last);
        ck_assert_uint_eq(last[HISTORY_BLOCK - 1].rest[HISTORY_REST - 1], word);
        ck_assert_uint_lt(own_memory() - before, 32ul << 20);
        ck_assert(state_copy_again(&copy, 0));
    }
    state_release(&copy);
}
END_TEST

/* Of a million connections no more is in memory than is looked at. */
START_TEST(a_chunk_of_a_segment_is_read_when_it_is_asked_for) {
    struct open_chunk written = {.seen_ns = 77}, room;
    struct state copy;
    ck_assert_int_eq(create(), STATE_OK);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    state.header->segment[0] = SEGMENT_PAIRS;
    state.header->segment[1] = SEGMENT_OPEN;
    off_t begin = (off_t)state.header->size + SEGMENT_BYTES, at = begin + 5 * (off_t)sizeof written;
    unsigned n = OPEN_FIRST + OPEN_BLOCK + 5;
    ck_assert_int_eq(pwrite(fd, &written, sizeof written, at), sizeof written);
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY(SECTION_OPEN_TABLE), &error), STATE_OK);
    ck_assert_ptr_eq(state_chunk(&copy, 0, &room), &copy.open_table->chunk[0]);
    ck_assert_ptr_eq(state_chunk(&copy, n, &room), &room);
    ck_assert_uint_eq(room.seen_ns, 77);
    ck_assert_ptr_null(state_chunk(&copy, OPEN_FIRST, &room));                  /* of pairs */
    ck_assert_ptr_null(state_chunk(&copy, OPEN_FIRST + 2 * OPEN_BLOCK, &room)); /* of nothing */
    ck_assert_ptr_null(state_chunk(&copy, OPEN_CHUNKS + OPEN_BLOCK, &room));
    written.seen_ns = 78;
    ck_assert_int_eq(pwrite(fd, &written, sizeof written, at), sizeof written);
    ck_assert_ptr_nonnull(state_chunk(&copy, n, &room));
    ck_assert_uint_eq(room.seen_ns, 78);
    ck_assert_int_eq(ftruncate(fd, at + 100), 0);
    ck_assert_ptr_null(state_chunk(&copy, n, &room));
    state_release(&copy);
    (void)close(fd);
}
END_TEST

/* What lies between two segments of pairs is not taken for pairs. */
START_TEST(a_segment_of_another_kind_is_not_copied) {
    static uint64_t out[SEGMENT_BYTES / sizeof(uint64_t)];
    const uint64_t word[2] = {77, 78};
    struct state copy;
    ck_assert_int_eq(create(), STATE_OK);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(pwrite(fd, &word[i], 8, (off_t)(state.header->size + (uint64_t)i * SEGMENT_BYTES)), 8);
    (void)close(fd);
    state.header->segment[0] = SEGMENT_HISTORY;
    state.header->segment[1] = SEGMENT_PAIRS;
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_STATS, &error), STATE_OK);
    ck_assert_uint_eq(segments_of(copy.segments, SEGMENT_PAIRS), 2);
    ck_assert(!state_copy_segment(&copy, 0, SEGMENT_PAIRS, out));
    ck_assert(state_copy_segment(&copy, 1, SEGMENT_PAIRS, out));
    ck_assert_uint_eq(out[0], word[1]);
    ck_assert(!state_copy_segment(&copy, 2, SEGMENT_PAIRS, out));
    state_release(&copy);
}
END_TEST

START_TEST(a_copy_has_what_the_file_has) {
    struct state copy;
    struct event_record r = {.e = {.kind = EVENT_OVERRIDE}}, read;
    struct ring_reader reader;
    ck_assert_int_eq(create(), STATE_OK);
    state.stat[STATS - 1].key = 77;
    state.history[HISTORY_MINUTES - 1].further = 78;
    for (int i = 0; i < 1000; i++)
        ck_assert(ring_write(&state, &r));
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_STATS, &error), STATE_OK);
    ck_assert_uint_eq(copy.stat[STATS - 1].key, 77);
    ck_assert_uint_eq(copy.history[HISTORY_MINUTES - 1].further, 0);
    ck_assert(state_copy_again(&copy, COPY(SECTION_HISTORY)));
    ck_assert_uint_eq(copy.history[HISTORY_MINUTES - 1].further, 78);
    state_copy_drop(&copy, SECTION_HISTORY);
    ck_assert_uint_eq(copy.history[HISTORY_MINUTES - 1].further, 0);
    state.stat[STATS - 1].key = 0;
    ck_assert(state_copy_again(&copy, 0));
    ck_assert_uint_eq(copy.stat[STATS - 1].key, 0);
    unsigned n = 0, of_mapped = 0;
    reader_init(&reader, &copy);
    ck_assert(ring_write(&state, &r)); /* after the copy: not read */
    while (reader_next(&reader, RING_INCIDENTS, 0, &read) == READ_EVENT)
        n++;
    reader_init(&reader, &state);
    while (reader_next(&reader, RING_INCIDENTS, 0, &read) == READ_EVENT)
        of_mapped++;
    ck_assert_uint_gt(n, 10);
    ck_assert_uint_eq(n + 1, of_mapped); /* the oldest cell has become that of the event after the copy */
    ck_assert_uint_eq(copy.header->next_seq + 1, state.header->next_seq);
    state_release(&copy);
}
END_TEST

/* Between the look at the path and the opening another user may have put a link to a file of ours there. */
START_TEST(whose_it_is_says_the_file_and_not_its_path) {
    struct source s;
    ck_assert_int_eq(create(), STATE_OK);
    ck_assert_int_eq(source_open(&s, path, &error), STATE_OK);
    s.identity.st_uid = geteuid() + 1;
    ck_assert(source_is_ours(&s));
    source_close(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("copy");
    TCase *tc = tcase_create("copy");
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_add_test(tc, holes_of_the_segments_cost_no_memory);
    tcase_add_test(tc, a_chunk_of_a_segment_is_read_when_it_is_asked_for);
    tcase_add_test(tc, a_copy_of_a_file_that_was_cut_is_an_error_and_no_signal);
    tcase_add_test(tc, a_copy_has_what_the_file_has);
    tcase_add_test(tc, a_segment_of_another_kind_is_not_copied);
    tcase_add_test(tc, whose_it_is_says_the_file_and_not_its_path);
    suite_add_tcase(suite, tc);
    return run(suite);
}
