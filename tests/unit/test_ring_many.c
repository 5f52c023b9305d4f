/* state/ring, state/reader: writers at once in threads and processes, and rings full of garbage. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "records.h"
#include "suite.h"
#include "state/ring_reader.h"
#include "state/ring.h"

enum { THREADS = 4, RECORDS = 4000, SCRIBBLES = 3000 };

static struct state state;
static struct ring_reader reader;

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
    reader_init(&reader, &state);
}

static void gone(void) {
    state_unmap(&state);
}

static uint64_t head_of(int ring) {
    return state.header->ring[ring].head;
}

static void *write_many(void *first) {
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct event_record r = make((uintptr_t)first * RECORDS + i, i % 3 ? 1 : 1 + (unsigned)i % EVENT_CELLS_MAX);
        (void)ring_write(&state, &r);
    }
    return NULL;
}

/* Reads both rings until stop() says that no writer is left; asserts that no number comes twice. */
static unsigned read_along(bool (*stop)(void)) {
    static unsigned char seen[THREADS * RECORDS + 1];
    unsigned records = 0;
    uint64_t cells[RINGS] = {0};
    memset(seen, 0, sizeof seen);
    for (bool last = false;; last = stop()) {
        for (int ring = 0; ring < RINGS; ring++) {
            struct event_record r;
            while (reader_next(&reader, (enum ring_id)ring, last ? 0 : 1000000000u, &r) == READ_EVENT) {
                assert_genuine(&r);
                ck_assert_uint_lt(r.e.seq, sizeof seen);
                ck_assert_msg(!seen[r.e.seq], "number %u twice", (unsigned)r.e.seq);
                seen[r.e.seq] = 1;
                cells[ring] += record_cells(&r);
                records++;
            }
        }
        if (last)
            break;
    }
    ck_assert_uint_eq(cells[0] + cells[1] + reader.torn + reader.lost, head_of(0) + head_of(1));
    return records;
}

static int writers_left;

static bool threads_done(void) {
    return __atomic_load_n(&writers_left, __ATOMIC_ACQUIRE) == 0;
}

static void *write_many_and_leave(void *first) {
    (void)write_many(first);
    __atomic_fetch_sub(&writers_left, 1, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(threads_that_write_at_once_make_no_corrupt_and_no_double_record) {
    pthread_t thread[THREADS];
    writers_left = THREADS;
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, write_many_and_leave, (void *)i), 0);
    ck_assert_uint_gt(read_along(threads_done), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(state.header->next_seq, THREADS * RECORDS);
}
END_TEST

static bool children_done(void) {
    return waitpid(-1, NULL, WNOHANG) < 0;
}

START_TEST(processes_that_write_at_once_and_are_killed_make_no_corrupt_record) {
    pid_t pid[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        if ((pid[i] = fork()) == 0) {
            write_many((void *)i);
            _exit(0);
        }
    usleep(500);
    kill(pid[0], SIGKILL);
    kill(pid[1], SIGKILL);
    ck_assert_uint_gt(read_along(children_done), 0);
}
END_TEST

/* --- garbage --- */

static uint64_t seed;

static uint64_t dice(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 20 ^ seed << 44;
}

static void assert_in_range(const struct event_record *r) {
    const struct event *e = &r->e;
    ck_assert(e->kind != EVENT_NONE && e->kind < EVENT_KINDS && e->arm < ARMS && e->direction < DIRECTIONS);
    ck_assert(e->via < VIAS && e->phase < TCP_STATES && e->fate < FATES);
    ck_assert(e->decided_by < DECIDED_BYS && e->verified < VERIFIEDS);
    if (e->kind == EVENT_TRACE_CONNECT) {
        const struct event_exhausted *x = &r->u.exhausted;
        ck_assert(x->n_sources <= EXHAUSTED_SOURCES && x->cause < REASONS && x->outcome < DECISIONS);
        for (unsigned i = 0; i < x->n_sources; i++)
            ck_assert(x->source[i].cause < SAIDS);
    } else if (e->kind == EVENT_EXHAUSTED || e->kind == EVENT_SOURCE_DOWN) {
        const struct event_exhausted *x = &r->u.exhausted;
        ck_assert(x->n_sources <= EXHAUSTED_SOURCES && x->call < CALLS && x->cause < CAUSES && x->outcome < OUTCOMES);
        for (unsigned i = 0; i < x->n_sources; i++)
            ck_assert_uint_lt(x->source[i].cause, CAUSES);
    } else {
        ck_assert_uint_lt(strnlen(r->u.text, EVENT_TEXT), EVENT_TEXT);
    }
}

/* Reads a ring that nobody writes to: there must be an end to it. */
static unsigned read_to_the_end(enum ring_id ring) {
    struct event_record r;
    unsigned n = 0;
    for (; reader_next(&reader, ring, 0, &r) == READ_EVENT; n++) {
        assert_in_range(&r);
        ck_assert_msg(n <= state.cells[ring], "more records than cells");
    }
    return n;
}

/* A cell that agrees with itself, full of random bytes. */
static void forge(enum ring_id ring, uint64_t n, unsigned part, unsigned parts) {
    struct cell *cell = &state.ring[ring][n % state.cells[ring]];
    struct event e;
    for (unsigned i = 0; i < CELL_PAYLOAD / 8; i++)
        cell->payload[i] = dice();
    if (dice() % 4 != 0) { /* half of the kinds are in range */
        memcpy(&e, cell->payload, sizeof e);
        e.kind = (uint8_t)(dice() % (2 * EVENT_KINDS));
        memcpy(cell->payload, &e, sizeof e);
    }
    cell->part = (uint8_t)part;
    cell->parts = (uint8_t)parts;
    cell->number = n + 1;
    cell->check = cell_check(n + 1, part, parts, cell->payload);
}

START_TEST(a_forged_record_has_every_enum_and_count_in_range) {
    unsigned records = 0;
    for (int i = 0; i < SCRIBBLES; i++) {
        enum ring_id ring = (enum ring_id)(i % RINGS);
        unsigned parts = 1 + (unsigned)(dice() % EVENT_CELLS_MAX);
        uint64_t head = state.header->ring[ring].head;
        for (unsigned part = 0; part < parts; part++)
            forge(ring, head + part, part, parts);
        state.header->ring[ring].head = head + parts;
        records += read_to_the_end(ring);
    }
    ck_assert_uint_gt(records, SCRIBBLES / 4);
}
END_TEST

START_TEST(random_scribbles_end_the_reading_and_yield_no_enum_out_of_range) {
    for (int i = 0; i < SCRIBBLES; i++) {
        enum ring_id ring = (enum ring_id)(i % RINGS);
        struct event_record r = make(dice(), ring == RING_CLOSES ? 1 : 2 + (unsigned)(dice() % 3));
        unsigned char *bytes = (unsigned char *)state.ring[ring];
        (void)ring_write(&state, &r);
        for (int n = 0; n < 8; n++)
            bytes[dice() % (state.cells[ring] * CELL_BYTES)] = (unsigned char)dice();
        if (i % 16 == 0)
            state.header->ring[ring].head = dice() % 3 ? dice() : state.header->ring[ring].head + dice() % 1000;
        (void)read_to_the_end(ring);
        if (i % 4 == 0)
            reader_init(&reader, &state);
    }
}
END_TEST

START_TEST(the_rest_of_a_record_whose_first_cell_is_damaged_is_torn) {
    struct event_record r = make(1, 4);
    for (int i = 0; i < 3; i++)
        ck_assert(ring_write(&state, &r));
    state.ring[RING_INCIDENTS][4].payload[0] ^= 1;
    ck_assert_uint_eq(read_to_the_end(RING_INCIDENTS), 2);
    ck_assert_uint_eq(reader.torn, 4);
}
END_TEST

START_TEST(a_record_that_claims_cells_beyond_the_head_is_torn) {
    forge(RING_CLOSES, 0, 0, 2);
    forge(RING_CLOSES, 1, 1, 2);
    state.header->ring[RING_CLOSES].head = 1;
    ck_assert_uint_eq(read_to_the_end(RING_CLOSES), 0);
    ck_assert_uint_eq(reader.torn, 1);
}
END_TEST

START_TEST(forged_cells_around_the_last_number_do_not_keep_the_reader_for_ever) {
    enum ring_id ring = RING_CLOSES;
    state.header->ring[ring].head = UINT64_MAX;
    for (uint64_t n = UINT64_MAX - state.cells[ring]; n != 3; n++)
        forge(ring, n, (unsigned)((n + 3) % EVENT_CELLS_MAX), EVENT_CELLS_MAX);
    reader_init(&reader, &state);
    (void)read_to_the_end(ring);
    for (uint64_t n = UINT64_MAX - 1, part = 0; part < EVENT_CELLS_MAX; n++, part++)
        forge(ring, n, (unsigned)part, EVENT_CELLS_MAX);
    reader_init(&reader, &state);
    (void)read_to_the_end(ring);
}
END_TEST

START_TEST(a_head_that_goes_back_does_not_stop_the_reader) {
    struct event_record r = make(1, 1);
    for (int i = 0; i < 10; i++)
        (void)ring_write(&state, &r);
    ck_assert_uint_eq(read_to_the_end(RING_CLOSES), 10);
    state.header->ring[RING_CLOSES].head = 3;
    ck_assert_uint_eq(read_to_the_end(RING_CLOSES), 0);
    (void)ring_write(&state, &r);
    (void)read_to_the_end(RING_CLOSES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ring_many");
    TCase *tc = tcase_create("ring_many");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, threads_that_write_at_once_make_no_corrupt_and_no_double_record);
    tcase_add_test(tc, processes_that_write_at_once_and_are_killed_make_no_corrupt_record);
    tcase_add_test(tc, a_forged_record_has_every_enum_and_count_in_range);
    tcase_add_test(tc, random_scribbles_end_the_reading_and_yield_no_enum_out_of_range);
    tcase_add_test(tc, the_rest_of_a_record_whose_first_cell_is_damaged_is_torn);
    tcase_add_test(tc, a_record_that_claims_cells_beyond_the_head_is_torn);
    tcase_add_test(tc, forged_cells_around_the_last_number_do_not_keep_the_reader_for_ever);
    tcase_add_test(tc, a_head_that_goes_back_does_not_stop_the_reader);
    suite_add_tcase(suite, tc);
    return run(suite);
}
