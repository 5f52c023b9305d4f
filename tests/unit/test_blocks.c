/* state/segment's blocks: a state file begins small, has memory for what is used, and nothing is touched that has none.
 *
 * A file that was cut stands for a full file system: what lies behind its end cannot be allocated, and is SIGBUS in a
 * process that touches it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kernel_constants.h"
#include "base/sys.h"
#include "state/control.h"
#include "state/copy.h"
#include "state/create.h"
#include "state/open_chunk.h"
#include "state/ring_reader.h"
#include "state/segment.h"
#include "tool/common/state_write.h"
#include "tool/reader/tail.h"
#include "flows.h"
#include "records.h"
#include "scratch.h"
#include "suite.h"

enum { LOG_SIZE = 8 << 20, MINUTE = 20000 * HISTORY_MINUTES, SMALL = 4000000, FORKS = 6 };

static int error;

static enum state_error create(uint64_t log, uint64_t max) {
    return state_create(&state, path, "test", (struct state_sizes){log, max}, &error);
}

static void own_folder(void) {
    scratch_begin();
    ck_assert_int_eq(create(LOG_SIZE, 0), STATE_OK);
}

static void no_folder(void) {
    state_unmap(&state);
    scratch_end();
}

static uint64_t space(void) {
    struct stat s;
    ck_assert_int_eq(stat(path, &s), 0);
    return (uint64_t)s.st_blocks * 512;
}

static unsigned blocks_of(void) {
    return (unsigned)(state.header->size / BLOCK_BYTES);
}

static bool has(unsigned n) {
    return block_there(state.header, (const char *)state.header + (size_t)n * BLOCK_BYTES);
}

/* Of these alone something may be there. */
static void cut_to(unsigned end) {
    for (unsigned n = end; n < blocks_of(); n++)
        state.header->block[n / 64] &= ~((uint64_t)1 << n % 64);
    ck_assert_int_eq(truncate(path, (off_t)end * BLOCK_BYTES), 0);
}

/* Behind the last block that is there lies nothing. Returns its number. */
static unsigned cut(void) {
    unsigned last = blocks_of() - 1;
    while (!has(last))
        last--;
    cut_to(last + 1);
    return last;
}

static void mend(void) {
    ck_assert_int_eq(truncate(path, (off_t)state.header->size), 0);
}

static unsigned events_in(const struct state *s, enum ring_id ring) {
    struct ring_reader reader;
    struct event_record r;
    unsigned n = 0;
    reader_init(&reader, s);
    while (reader_next(&reader, ring, 0, &r) == READ_EVENT) {
        assert_genuine(&r);
        n++;
    }
    return n;
}

static bool write_close(uint64_t mark) {
    struct event_record r = make(mark, 1);
    return ring_write(&state, &r);
}

START_TEST(a_new_file_is_small_and_stays_so_with_its_first_connection) {
    ck_assert_uint_lt(space(), 3200000);
    struct event_record attach = make(1, 2);
    ck_assert(ring_write(&state, &attach));
    ck_assert(write_close(2));
    (void)connect_in(MINUTE, 1);
    ck_assert_ptr_nonnull(open_chunk_make(&state, 3));
    ck_assert_uint_lt(space(), SMALL);
    ck_assert_uint_gt(state.header->size, 18000000);
}
END_TEST

/* The reverse is asked of the kernel: what the header says is there has space, or a full disk would be a signal. */
START_TEST(what_is_said_to_be_there_is_there) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (unsigned round = 0; round < 2; round++) {
        unsigned there = 0;
        for (unsigned n = 0; n < blocks_of(); n++) {
            off_t from = (off_t)n * BLOCK_BYTES, hole = lseek(fd, from, SEEK_HOLE);
            ck_assert(!has(n) || hole < 0 || hole >= from + BLOCK_BYTES);
            there += has(n);
        }
        ck_assert_uint_ge(space(), (uint64_t)there * BLOCK_BYTES);
        ck_assert_uint_lt(there, blocks_of() / 4);
        for (unsigned i = 0; i < 8; i++) {
            ck_assert(block_have(state.header, &state.ring[RING_CLOSES][i * 5000]));
            ck_assert(block_have(state.header, &state.history[i * 150]));
        }
    }
    (void)close(fd);
}
END_TEST

START_TEST(a_ring_goes_round_as_it_always_did) {
    uint64_t cells = state.cells[RING_CLOSES], n = cells + cells / 3;
    uint64_t before = space();
    for (uint64_t i = 0; i < n; i++)
        ck_assert(write_close(i));
    ck_assert_uint_eq(events_in(&state, RING_CLOSES), cells);
    ck_assert_uint_eq(state_counter(&state, COUNT_EVENTS_DROPPED), 0);
    ck_assert_uint_ge(space() - before, (cells - 1024) * CELL_BYTES);
    struct state copy;
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_EVENTS, &error), STATE_OK);
    ck_assert_uint_eq(events_in(&copy, RING_CLOSES), cells);
    state_release(&copy);
}
END_TEST

/* Each minute of one and a half days, as two processes see it. */
START_TEST(a_day_of_minutes_is_counted_and_read_back) {
    enum { MINUTES = HISTORY_MINUTES * 3 / 2, FLOWS = 40 };
    struct state other, copy;
    ck_assert_int_eq(state_map(&other, path, &error), STATE_OK);
    uint64_t before = space();
    for (unsigned i = 0; i < MINUTES; i++)
        for (unsigned n = 0; n < FLOWS; n++) {
            (void)history_connect(n % 2 ? &other : &state, &flow(n)->f, MINUTE + i, 1000);
            history_count(&state, &flow(n)->f, MINUTE + i, HISTORY_TIME_WAITS);
        }
    ck_assert_uint_ge(space() - before, (HISTORY_MINUTES - 32) * sizeof(struct history_minute));
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_HISTORY, &error), STATE_OK);
    const struct state *both[] = {&state, &copy};
    for (unsigned i = 0; i < 2; i++) {
        struct history_reader r;
        uint32_t minute = MINUTE + MINUTES - HISTORY_MINUTES;
        history_reader_init(&r, both[i], UINT32_MAX);
        for (; history_next(&r, &view); minute++) {
            ck_assert_uint_eq(view.minute, minute);
            ck_assert_uint_eq(total().connects, FLOWS);
            ck_assert_uint_eq(total().count[HISTORY_TIME_WAITS], FLOWS);
        }
        ck_assert_uint_eq(minute, MINUTE + MINUTES);
    }
    state_release(&copy);
    state_unmap(&other);
}
END_TEST

/* One that was not there, and is made by several at the same moment. */
START_TEST(many_that_come_at_once_lose_nothing) {
    enum { EACH = 4000 };
    int status;
    for (unsigned i = 0; i < FORKS; i++)
        if (fork() == 0) {
            bool ok = true;
            for (unsigned n = 0; n < EACH; n++)
                ok = write_close((uint64_t)i * EACH + n) && ok;
            _exit(ok ? 0 : 1);
        }
    for (unsigned i = 0; i < FORKS; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(events_in(&state, RING_CLOSES), FORKS * EACH);
}
END_TEST

START_TEST(a_full_file_system_costs_events_and_no_signal) {
    unsigned written = 0, dropped = 0;
    ck_assert_ptr_nonnull(open_chunk_make(&state, 0));
    unsigned last = cut();
    for (unsigned i = 0; i < 3000; i++)
        written += write_close(i);
    dropped = 3000 - written;
    ck_assert_uint_gt(written, 0);
    ck_assert_uint_gt(dropped, 2000 - BLOCK_BYTES / CELL_BYTES);
    ck_assert_uint_eq(state_counter(&state, COUNT_EVENTS_DROPPED), dropped);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_DISK], NO_ROOM_MET);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_SIZE], 0);
    for (unsigned minute = 0; minute < HISTORY_MINUTES; minute++)
        for (unsigned n = 0; n < 40; n += 13) {
            struct history_counts recent;
            (void)connect_in(MINUTE + minute, n);
            count_in(MINUTE + minute, n, HISTORY_FAILED);
            history_peak(&state, &flow(n)->f, MINUTE + minute, 3);
            history_recent(&state, &flow(n)->f, MINUTE + minute, &recent);
        }
    ck_assert_uint_eq(events_in(&state, RING_CLOSES), written);
    for (unsigned n = last + 1; n < blocks_of(); n++)
        ck_assert(!has(n));
}
END_TEST

START_TEST(nor_is_the_beginning_alone_a_signal) {
    struct event_record incident = make(1, 2);
    cut_to((unsigned)(((char *)&state.open_table->chunk[0] - (char *)state.header) / BLOCK_BYTES + 1));
    ck_assert(!write_close(1));
    ck_assert(!ring_write(&state, &incident));
    ck_assert_ptr_nonnull(open_chunk_make(&state, 0));
    ck_assert_ptr_null(open_chunk_make(&state, OPEN_FIRST - 1));
    ck_assert_ptr_null(open_chunk_of(&state, OPEN_FIRST - 1));
    ck_assert_uint_eq(events_in(&state, RING_CLOSES) + events_in(&state, RING_INCIDENTS), 0);
}
END_TEST

START_TEST(readers_touch_nothing_that_is_not_there) {
    (void)cut();
    state.header->ring[RING_CLOSES].head = 50000; /* where no cell was written, and more than a lap */
    state.header->ring[RING_INCIDENTS].head = 1000000;
    ck_assert_uint_eq(events_in(&state, RING_CLOSES), 0);
    ck_assert_uint_eq(events_in(&state, RING_INCIDENTS), 0);
    static struct tail tail;
    struct event_record r;
    tail_init(&tail, &state);
    ck_assert(!tail_next(&tail, &r));
    ck_assert(!tail_late(&tail, true, &r));
    ck_assert(!look_at(MINUTE));
    for (unsigned n = 0; n < OPEN_FIRST; n++)
        ck_assert(!open_chunk_of(&state, n) ||
                  has((unsigned)(((char *)&state.open_table->chunk[n] - (char *)state.header) / BLOCK_BYTES)));
}
END_TEST

/* Asked once a second. */
START_TEST(it_goes_on_once_there_is_room) {
    (void)cut();
    while (write_close(7))
        continue;
    mend();
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + 15000000000u, mark = 100;
    while (!write_close(mark) && clock_ns(CLOCK_MONOTONIC) < until)
        sys_sleep_ms(1);
    ck_assert(write_close(101));
    (void)connect_in(MINUTE + 700, 3);
    ck_assert(look_at(MINUTE + 700));
    ck_assert_uint_eq(view.flows, 1);
}
END_TEST

START_TEST(the_tool_writes_to_a_file_without_making_it_larger) {
    struct state s;
    uint64_t before = space();
    ck_assert_int_eq(state_write(&s, path, &error), STATE_OK);
    ck_assert_uint_lt(space(), before + BLOCK_BYTES); /* a file system may need some of its own */
    state_unmap(&s);
    /* But what is said to be there, and is not, as in a copy that left holes out, it has made. */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK_BYTES, 8 * BLOCK_BYTES), 0);
    (void)close(fd);
    ck_assert_uint_lt(space(), before);
    ck_assert_int_eq(state_write(&s, path, &error), STATE_OK);
    ck_assert_uint_gt(space() + BLOCK_BYTES, before);
    state_unmap(&s);
}
END_TEST

START_TEST(private_memory_has_everything) {
    struct state own;
    struct event_record r = make(5, 1);
    ck_assert(state_private(&own, "test"));
    for (size_t at = 0; at < own.size; at += BLOCK_BYTES)
        ck_assert(block_there(own.header, (const char *)own.header + at));
    ck_assert(ring_write(&own, &r));
    state_unmap(&own);
}
END_TEST

START_TEST(a_file_whose_header_says_too_much_is_refused) {
    struct state other;
    const uint64_t size = (uint64_t)(BLOCKS + 1) * BLOCK_BYTES;
    ck_assert_int_eq(truncate(path, (off_t)size), 0);
    state.header->size = size;
    ck_assert_int_eq(state_map(&other, path, &error), STATE_NOT_A_STATE);
    ck_assert_int_eq(state_copy(&other, AT_FDCWD, path, COPY_EVENTS, &error), STATE_NOT_A_STATE);
    state.header->size = size - BLOCK_BYTES;
    ck_assert_int_eq(state_map(&other, path, &error), STATE_OK);
    state_unmap(&other);
}
END_TEST

/* MADV_POPULATE_WRITE is answered with this, and not done. */
static bool without_populate(unsigned answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_POPULATE_WRITE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void all_at_once(unsigned answer) {
    state_unmap(&state);
    unlink(path);
    ck_assert(without_populate(answer)); /* each test has a process of its own */
    ck_assert_int_eq(create(LOG_SIZE, 0), STATE_OK);
    ck_assert_uint_ge(space(), state.header->size);
    for (unsigned n = 0; n < blocks_of(); n++)
        ck_assert(has(n));
    for (unsigned i = 0; i < 2000; i++)
        ck_assert(write_close(i));
    ck_assert_int_eq(segment_grow(state.segments, SEGMENT_OPEN, 0), -1);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_DISK], 0);
}

/* Before 5.14. */
START_TEST(an_old_kernel_has_all_of_it_at_once) {
    all_at_once(EINVAL);
}
END_TEST

/* As qemu-user does. */
START_TEST(a_false_answer_is_none) {
    all_at_once(0);
}
END_TEST

/* Whatever the log takes, all else that every file has fits into what the config reserves for it (compile_size_max). */
START_TEST(size_max_bounds_the_whole_file) {
    static const uint64_t log[] = {64 << 10, 1 << 20, 8 << 20, 1 << 30};
    struct stat s;
    for (unsigned i = 0; i < sizeof log / sizeof *log; i++) {
        struct state_header layout = {0};
        sections_plan(&layout, log[i]);
        ck_assert_uint_le(layout.size, log[i] + (12 << 20));
        ck_assert_uint_le(layout.size, (uint64_t)BLOCKS * BLOCK_BYTES);
    }
    state_unmap(&state);
    unlink(path);
    ck_assert_int_eq(create(1 << 20, 16 << 20), STATE_OK);
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_uint_le((uint64_t)s.st_size, 16 << 20);
    unsigned n = 0;
    while (segment_grow(state.segments, SEGMENT_OPEN, n) >= 0)
        n++;
    ck_assert_uint_eq(n, ((16 << 20) - state.header->size) / SEGMENT_BYTES);
    ck_assert_uint_ge(n, 3);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_SIZE], NO_ROOM_MET);
    state_unmap(&state);
    unlink(path);
    ck_assert_int_eq(create(8 << 20, 16 << 20), STATE_OK); /* less than it needs: no segment at all */
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_uint_eq((uint64_t)s.st_size, state.header->size);
    ck_assert_int_eq(segment_grow(state.segments, SEGMENT_OPEN, 0), -1);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_SIZE], NO_ROOM_MET);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("blocks");
    TCase *tc = tcase_create("blocks");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_add_test(tc, a_new_file_is_small_and_stays_so_with_its_first_connection);
    tcase_add_test(tc, what_is_said_to_be_there_is_there);
    tcase_add_test(tc, a_ring_goes_round_as_it_always_did);
    tcase_add_test(tc, a_day_of_minutes_is_counted_and_read_back);
    tcase_add_test(tc, many_that_come_at_once_lose_nothing);
    tcase_add_test(tc, a_full_file_system_costs_events_and_no_signal);
    tcase_add_test(tc, nor_is_the_beginning_alone_a_signal);
    tcase_add_test(tc, readers_touch_nothing_that_is_not_there);
    tcase_add_test(tc, it_goes_on_once_there_is_room);
    tcase_add_test(tc, the_tool_writes_to_a_file_without_making_it_larger);
    tcase_add_test(tc, private_memory_has_everything);
    tcase_add_test(tc, a_file_whose_header_says_too_much_is_refused);
    tcase_add_test(tc, an_old_kernel_has_all_of_it_at_once);
    tcase_add_test(tc, a_false_answer_is_none);
    tcase_add_test(tc, size_max_bounds_the_whole_file);
    suite_add_tcase(suite, tc);
    return run(suite);
}
