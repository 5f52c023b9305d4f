/* state/segment and what grows by it: allocated, taken once, found by every process that maps the file; and a process
 * that cannot map goes on. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/client.h"
#include "client/fdtab.h"
#include "client/open_table.h"
#include "client/process.h"
#include "state/control.h"
#include "state/copy.h"
#include "state/create.h"
#include "state/open_chunk.h"
#include "state/segment.h"
#include "base/sys.h"
#include "scratch.h"
#include "suite.h"
#include "tool/host/owner.h"
#include "tool/reaper/reaper.h"

enum { LOG_SIZE = 64 << 10, CONNECTIONS = 1 << 20, PROCESSES = 10000, GROWERS = 8 };

static struct state state;
static int error;

static void own_folder(void) {
    scratch_begin();
    ck_assert_int_eq(state_create(&state, path, "test", (struct state_sizes){.log = LOG_SIZE}, &error), STATE_OK);
}

static void no_folder(void) {
    state_unmap(&state);
    scratch_end();
}

static int grow(unsigned known) {
    return segment_grow(state.segments, SEGMENT_OPEN, known);
}

/* Something had no room, as the header says. */
static unsigned no_room(void) {
    return (unsigned)(state.header->no_room[NO_ROOM_DISK] + state.header->no_room[NO_ROOM_SIZE]);
}

static uint64_t blocks(void) {
    struct stat s;
    ck_assert_int_eq(stat(path, &s), 0);
    return (uint64_t)s.st_blocks * 512;
}

START_TEST(a_segment_is_allocated_before_it_is_taken_and_seen_by_all) {
    struct state other;
    uint64_t before = blocks();
    ck_assert_uint_eq(open_chunks(&state), OPEN_FIRST);
    ck_assert_ptr_null(open_chunk_of(&state, OPEN_FIRST));
    ck_assert_int_eq(state_map(&other, path, &error), STATE_OK);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(grow(i), (int)i);
        ck_assert_uint_ge(blocks(), before + (uint64_t)(i + 1) * SEGMENT_BYTES);
        ck_assert_uint_eq(open_chunks(&state), OPEN_FIRST + (i + 1) * OPEN_BLOCK);
    }
    for (unsigned n = 0; n < open_chunks(&state); n++)
        open_chunk_make(&state, n)->seen_ns = n + 1;
    ck_assert_uint_eq(open_chunks(&other), open_chunks(&state));
    for (unsigned n = open_chunks(&other); n-- > 0;)
        ck_assert_uint_eq(open_chunk_of(&other, n)->seen_ns, n + 1);
    ck_assert_ptr_null(open_chunk_of(&other, open_chunks(&other)));
    state_unmap(&other);
}
END_TEST

START_TEST(what_another_has_just_taken_is_as_good_as_a_new_one) {
    ck_assert_int_eq(grow(0), 0);
    ck_assert_int_eq(grow(0), 0); /* looked before it was there */
    ck_assert_int_eq(grow(1), 1);
}
END_TEST

START_TEST(many_that_grow_at_once_waste_nothing) {
    int status;
    for (int i = 0; i < GROWERS; i++)
        if (fork() == 0) {
            bool ok = true;
            for (unsigned n = 0; n < 8; n++)
                ok = ok && segment_grow(state.segments, SEGMENT_OPEN, n) >= (int)n;
            _exit(ok ? 0 : 1);
        }
    for (int i = 0; i < GROWERS; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(open_chunks(&state), OPEN_FIRST + 8 * OPEN_BLOCK);
}
END_TEST

START_TEST(a_file_has_as_many_as_its_size_and_no_more) {
    ck_assert_int_eq(truncate(path, (off_t)(state.header->size + 3 * (uint64_t)SEGMENT_BYTES - 1)), 0);
    state_unmap(&state);
    ck_assert_int_eq(state_map(&state, path, &error), STATE_OK);
    ck_assert_int_eq(grow(0), 0);
    ck_assert_int_eq(grow(1), 1);
    ck_assert_uint_eq(no_room(), 0);
    ck_assert(segments_may_grow(state.segments));
    ck_assert_int_eq(grow(2), -1);
    ck_assert_msg(!segments_may_grow(state.segments), "it would look once more each time");
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_SIZE], NO_ROOM_MET);
    ck_assert_uint_eq(state.header->no_room[NO_ROOM_DISK], 0);
    memset(state.header->segment, SEGMENT_OPEN, sizeof state.header->segment); /* a scribble */
    ck_assert_uint_eq(open_chunks(&state), OPEN_FIRST + 2 * OPEN_BLOCK);
    for (unsigned n = OPEN_FIRST + 2 * OPEN_BLOCK; n < OPEN_CHUNKS; n += 99)
        ck_assert_ptr_null(open_chunk_of(&state, n));
    ck_assert_ptr_null(segment_find(state.segments, UINT32_MAX, SEGMENT_OPEN));
}
END_TEST

START_TEST(a_file_without_the_hole_does_not_grow) {
    ck_assert_int_eq(truncate(path, (off_t)state.header->size), 0);
    state_unmap(&state);
    ck_assert_int_eq(state_map(&state, path, &error), STATE_OK);
    ck_assert_int_eq(grow(0), -1);
    ck_assert_ptr_null(open_chunk_of(&state, OPEN_FIRST));
}
END_TEST

/* A sanitizer takes terabytes of address space, and makes nothing of mlock. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

START_TEST(memory_that_is_locked_or_limited_is_not_added_to) {
    /* The last is far from what this process maps, but of that the file may have a sixteenth only. */
    const rlim_t limit[] = {0, 1 << 20, ADDRESS_SPACE_SHARE * (state.size + (SEGMENT_BYTES / 2))};
    for (unsigned i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            const struct rlimit most = {.rlim_cur = limit[i], .rlim_max = limit[i]};
            bool ok = i ? setrlimit(RLIMIT_AS, &most) == 0 : mlock(state.header, state.size) == 0;
            ok = ok && segment_grow(state.segments, SEGMENT_OPEN, 0) == -1 && no_room() == 0;
            ok = ok && segment_find(state.segments, 0, SEGMENT_OPEN) == NULL;
            _exit(ok ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(grow(0), 0);
}
END_TEST

START_TEST(an_address_space_that_has_room_for_one_maps_one) {
    const rlim_t limit = ADDRESS_SPACE_SHARE * (rlim_t)(state.size + 3 * (SEGMENT_BYTES / 2));
    const struct rlimit most = {.rlim_cur = limit, .rlim_max = limit};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &most), 0); /* this test has a process of its own */
    ck_assert_int_eq(grow(0), 0);
    ck_assert_int_eq(grow(1), -1);
    ck_assert_ptr_nonnull(segment_find(state.segments, 0, SEGMENT_OPEN));
}
END_TEST

/* Of each chunk: its owner lives, and was born after the chunk was taken. */
START_TEST(a_process_that_cannot_map_a_segment_looks_for_none) {
    const struct rlimit most = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    struct state other;
    ck_assert_int_eq(state_map(&other, path, &error), STATE_OK);
    ck_assert_int_eq(grow(0), 0);
    ck_assert(segments_may_grow(other.segments));
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &most), 0); /* this test has a process of its own */
    ck_assert_ptr_null(segment_find(other.segments, 0, SEGMENT_OPEN));
    ck_assert(!segments_may_grow(other.segments));
    ck_assert(segments_may_grow(state.segments));
}
END_TEST

START_TEST(a_file_that_says_so_of_thousands_of_chunks_does_not_hold_the_reaper_up) {
    struct reaper reaper;
    for (unsigned i = 0; i < 8; i++)
        ck_assert_int_eq(grow(i), (int)i);
    unsigned n = open_chunks(&state); /* 20 ms for each were 51 s */
    for (unsigned i = 0; i < n; i++) {
        open_chunk_make(&state, i)->born_ns = 1;
        open_chunk_of(&state, i)->pid_namespace = owner_namespace();
        state.open_table->owner[i] = (uint64_t)(i % 2 ? getpid() : getppid());
    }
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    reaper_init(&reaper, path);
    (void)reaper_round(&reaper, &state, 1000);
    reaper_end(&reaper);
    ck_assert_uint_lt(clock_ns(CLOCK_MONOTONIC) - began, 20000000000u);
    for (unsigned i = 0; i < n; i++)
        ck_assert_uint_eq(state.open_table->owner[i], 0);
}
END_TEST

/* The same tables at full size: a process for each of the first chunks, and then ever more connections of them. */
START_TEST(room_for_10000_processes_and_1048576_connections) {
    unsigned left = CONNECTIONS, n = 0;
    for (; left > 0 || n < PROCESSES; n++) {
        if (n == open_chunks(&state))
            ck_assert_int_ge(grow((n - OPEN_FIRST) / OPEN_BLOCK), 0);
        struct open_chunk *chunk = open_chunk_make(&state, n);
        ck_assert_ptr_nonnull(chunk);
        unsigned part = left < OPEN_PER_CHUNK ? left : OPEN_PER_CHUNK;
        for (unsigned i = 0; i < part; i++)
            chunk->entry[i] = (struct open_entry){.word = OPEN_NOW, .peer_port = (uint16_t)(n % 60000 + 1)};
        state.open_table->owner[n] = 100 + n % PROCESSES;
        left -= part;
    }
    struct state copy;
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_EVENTS, &error), STATE_OK);
    ck_assert(state_copy_again(&copy, COPY(SECTION_OPEN_TABLE)));
    unsigned found = 0;
    struct open_chunk room;
    for (unsigned i = 0; i < open_chunks(&copy); i++) {
        const struct open_chunk *chunk = state_chunk(&copy, i, &room);
        for (unsigned j = 0; copy.open_table->owner[i] && j < OPEN_PER_CHUNK; j++)
            found += chunk->entry[j].word == OPEN_NOW && chunk->entry[j].peer_port == i % 60000 + 1;
    }
    ck_assert_uint_eq(found, CONNECTIONS);
    ck_assert_int_ge(segment_grow(copy.segments, SEGMENT_OPEN, 0), 0);         /* the first that it has ... */
    ck_assert_int_eq(segment_grow(copy.segments, SEGMENT_OPEN, SEGMENTS), -1); /* ... and never one more */
    state_release(&copy);
}
END_TEST

/* Of a process that lives: of a million entries the one is found that an exec closed, and the others stay. */
START_TEST(the_reaper_goes_through_1048576_connections) {
    struct reaper reaper;
    unsigned n = 0, open = 0;
    reaper_init(&reaper, path);
    for (unsigned left = CONNECTIONS; left > 0; n++) {
        if (n == open_chunks(&state))
            ck_assert_int_ge(grow((n - OPEN_FIRST) / OPEN_BLOCK), 0);
        struct open_chunk *chunk = open_chunk_make(&state, n);
        unsigned part = left < OPEN_PER_CHUNK ? left : OPEN_PER_CHUNK;
        chunk->born_ns = clock_ns(CLOCK_BOOTTIME);
        chunk->pid_namespace = reaper.pid_namespace;
        chunk->netns = reaper.netns;
        for (unsigned i = 0; i < part; i++)
            chunk->entry[i] = (struct open_entry){.word = OPEN_NOW, .local_port = 1, .peer_port = 1};
        state.open_table->owner[n] = (uint64_t)getpid();
        left -= part;
    }
    open_chunk_of(&state, n - 1)->entry[0].word = OPEN_TO_EXEC; /* long ago */
    ck_assert_uint_eq(reaper_round(&reaper, &state, 1000), 1);
    reaper_end(&reaper);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < OPEN_PER_CHUNK; j++)
            open += open_chunk_of(&state, i)->entry[j].word == OPEN_NOW;
    ck_assert_uint_eq(open, CONNECTIONS - 1);
    ck_assert_uint_eq(open_chunk_of(&state, n - 1)->entry[0].word, OPEN_FREE);
}
END_TEST

/* One process beyond what one had room for. */
START_TEST(one_process_writes_down_more_than_the_first_chunks_hold) {
    enum { MANY = OPEN_FIRST * OPEN_PER_CHUNK + 5 * OPEN_PER_CHUNK };
    static struct conn *conn[MANY];
    static struct client client;
    client.state = state;
    memcpy(client.program, "test", 5);
    process_init();
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_ptr_nonnull(conn[i] = conn_new());
        conn[i]->peer.port = 80;
        open_table_opened(&client, conn[i]);
    }
    unsigned found = 0, owners = 0;
    for (unsigned i = 0; i < open_chunks(&state); i++) {
        bool own = state.open_table->owner[i] == (uint64_t)getpid();
        owners += own;
        for (unsigned j = 0; own && j < OPEN_PER_CHUNK; j++)
            found += open_chunk_of(&state, i)->entry[j].word == OPEN_NOW;
    }
    ck_assert_uint_eq(found, MANY);
    ck_assert_uint_eq(owners, OPEN_FIRST + 5);
    ck_assert_uint_eq(state_counter(&state, COUNT_OPEN_TABLE_FULL), 0);
    for (unsigned i = 0; i < MANY; i++)
        open_table_closed(conn[i]);
    open_table_release(&client);
    for (unsigned i = 0; i < open_chunks(&state); i++)
        ck_assert_uint_eq(state.open_table->owner[i], 0);
    for (unsigned i = 0; i < OPEN_BLOCKS; i++)
        ck_assert_uint_eq(state.header->open_taken[i], 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("segment");
    TCase *tc = tcase_create("segment");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_add_test(tc, a_segment_is_allocated_before_it_is_taken_and_seen_by_all);
    tcase_add_test(tc, what_another_has_just_taken_is_as_good_as_a_new_one);
    tcase_add_test(tc, many_that_grow_at_once_waste_nothing);
    tcase_add_test(tc, a_file_has_as_many_as_its_size_and_no_more);
    tcase_add_test(tc, a_file_without_the_hole_does_not_grow);
    if (!SANITIZED)
        tcase_add_test(tc, memory_that_is_locked_or_limited_is_not_added_to);
    if (!SANITIZED)
        tcase_add_test(tc, a_process_that_cannot_map_a_segment_looks_for_none);
    if (!SANITIZED)
        tcase_add_test(tc, an_address_space_that_has_room_for_one_maps_one);
    tcase_add_test(tc, a_file_that_says_so_of_thousands_of_chunks_does_not_hold_the_reaper_up);
    tcase_add_test(tc, room_for_10000_processes_and_1048576_connections);
    tcase_add_test(tc, the_reaper_goes_through_1048576_connections);
    tcase_add_test(tc, one_process_writes_down_more_than_the_first_chunks_hold);
    suite_add_tcase(suite, tc);
    return run(suite);
}
