/* state/ring, state/reader: many writers, no locks, and nothing lost without being counted. A writer is stopped between
 * any two of its stores, for ever or for a lap. */
#include <pthread.h>
#include <semaphore.h>

/* The writer under test is a copy of its own, with a hook between its stores and names that clash with nothing. */
static void between_stores(void);
#define RING_STORE() between_stores()
#define ring_of      test_ring_of
#define record_cells test_record_cells
#define ring_write   test_ring_write
#define cell_check   test_cell_check
#include "state/ring.c"
#include "records.h"
#include "suite.h"
#include "state/ring_reader.h"
#include "state/ring.h"
#include "state/control.h"

enum { STORES_OF_RING_WRITE = 2, STORES_OF_A_CELL = 18 };

static struct state state;
static struct ring_reader reader;

/* A writer in a thread of its own, stopped before its store number stop_at. */
struct writer {
    pthread_t thread;
    sem_t stopped, go;
    int stop_at;
    bool die, written;
    struct event_record record;
};
static __thread struct writer *current;

static void between_stores(void) {
    if (!current || current->stop_at-- != 0)
        return;
    struct writer *w = current;
    sem_post(&w->stopped);
    while (sem_wait(&w->go) != 0)
        ;
    if (w->die)
        pthread_exit(NULL);
}

static void *write_one(void *writer) {
    current = writer;
    current->written = ring_write(&state, &current->record);
    return NULL;
}

static void start_and_stop(struct writer *w, int stop_at) {
    w->stop_at = stop_at;
    w->die = w->written = false;
    sem_init(&w->stopped, 0, 0);
    sem_init(&w->go, 0, 0);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, write_one, w), 0);
    while (sem_wait(&w->stopped) != 0)
        ;
}

static void finish(struct writer *w, bool die) {
    w->die = die;
    sem_post(&w->go);
    pthread_join(w->thread, NULL);
}

static void put(uint64_t mark) {
    struct event_record r = make(mark, 1);
    (void)ring_write(&state, &r);
}

/* Reads all that is there. Every record must be genuine; its cells are added to *cells, its mark set in seen[]. */
static unsigned drain(enum ring_id ring, uint64_t *cells, unsigned char *seen) {
    struct event_record r;
    unsigned n = 0;
    for (; reader_next(&reader, ring, 0, &r) == READ_EVENT; n++) {
        assert_genuine(&r);
        *cells += record_cells(&r);
        if (seen)
            seen[r.e.age_us]++;
    }
    return n;
}

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
    reader_init(&reader, &state);
}

static void gone(void) {
    state_unmap(&state);
}

static uint64_t head_of(enum ring_id ring) {
    return state.header->ring[ring].head;
}

START_TEST(a_record_of_one_to_four_cells_comes_back_as_written) {
    for (unsigned cells = 1; cells <= EVENT_CELLS_MAX; cells++) {
        struct event_record in = make(7 + cells, cells), out;
        ck_assert_uint_eq(record_cells(&in), cells);
        ck_assert(ring_write(&state, &in));
        ck_assert_int_eq(reader_next(&reader, ring_of((enum event_kind)in.e.kind), 0, &out), READ_EVENT);
        ck_assert_mem_eq(&in, &out, sizeof in);
    }
    ck_assert_uint_eq(reader.torn + reader.lost, 0);
}
END_TEST

START_TEST(an_exhausted_event_takes_as_many_cells_as_its_sources_need) {
    struct event_record r = {.e.kind = EVENT_EXHAUSTED};
    unsigned wanted[] = {2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 5};
    for (uint16_t n = 0; n <= 10; n++) {
        r.u.exhausted.n_sources = n;
        ck_assert_uint_eq(record_cells(&r), wanted[n]);
    }
}
END_TEST

START_TEST(closes_do_not_evict_incidents) {
    struct event_record incident = make(1, 3), out;
    ck_assert(ring_write(&state, &incident));
    for (uint64_t i = 0; i < 10 * state.cells[RING_CLOSES]; i++)
        put(i);
    ck_assert_int_eq(reader_next(&reader, RING_INCIDENTS, 0, &out), READ_EVENT);
    ck_assert_mem_eq(&incident, &out, sizeof out);
}
END_TEST

START_TEST(records_wrap_around_the_end_of_the_ring) {
    uint64_t cells = 0, written = 0;
    for (unsigned i = 0; i < 1000; i++) { /* 64 cells, sizes 1 + 2..4: every offset is met */
        struct event_record r = make(i, 2 + i % 3);
        ck_assert(ring_write(&state, &r));
        written++;
        if (i % 7 == 0)
            written -= drain(RING_INCIDENTS, &cells, NULL);
    }
    ck_assert_uint_eq(drain(RING_INCIDENTS, &cells, NULL), written);
    ck_assert_uint_eq(cells, head_of(RING_INCIDENTS));
    ck_assert_uint_eq(reader.torn + reader.lost, 0);
}
END_TEST

START_TEST(a_reader_that_is_overrun_counts_what_it_lost) {
    uint64_t cells = 0, lap = state.cells[RING_CLOSES];
    for (uint64_t i = 0; i < 3 * lap + 5; i++)
        put(i);
    ck_assert_uint_eq(drain(RING_CLOSES, &cells, NULL), lap);
    ck_assert_uint_eq(reader.lost, 2 * lap + 5);
    ck_assert_uint_eq(reader.torn, 0);
}
END_TEST

START_TEST(a_new_reader_starts_at_the_oldest_record_and_has_lost_nothing) {
    uint64_t cells = 0, lap = state.cells[RING_CLOSES];
    for (uint64_t i = 0; i < 2 * lap; i++)
        put(i);
    reader_init(&reader, &state);
    ck_assert_uint_eq(drain(RING_CLOSES, &cells, NULL), lap);
    ck_assert_uint_eq(reader.lost + reader.torn, 0);
}
END_TEST

START_TEST(a_record_being_written_is_waited_for_as_long_as_patience_lasts) {
    static struct writer w;
    struct event_record out;
    w.record = make(1, 1);
    start_and_stop(&w, 9);
    ck_assert_int_eq(reader_next(&reader, RING_CLOSES, 60000000000u, &out), READ_NOTHING);
    finish(&w, false);
    ck_assert_int_eq(reader_next(&reader, RING_CLOSES, 60000000000u, &out), READ_EVENT);
    assert_genuine(&out);
    ck_assert_uint_eq(reader.torn, 0);
}
END_TEST

/* _i: the store before which the writer is killed. */
static void killed_writer(unsigned cells, int stop_at) {
    static struct writer w;
    uint64_t read = 0;
    unsigned records = 0;
    enum ring_id ring = cells == 1 ? RING_CLOSES : RING_INCIDENTS;
    w.record = make(99, cells);
    for (unsigned i = 0; i < 5; i++, records++) {
        struct event_record r = make(i, cells);
        ck_assert(ring_write(&state, &r));
    }
    start_and_stop(&w, stop_at);
    for (unsigned i = 0; i < 5; i++, records++) {
        struct event_record r = make(i, cells);
        ck_assert(ring_write(&state, &r));
    }
    finish(&w, true);
    ck_assert_uint_eq(drain(ring, &read, NULL), records);
    ck_assert_uint_eq(reader.torn, cells);
    ck_assert_uint_eq(reader.lost, 0);
    /* issued = read + those whose cells are missing */
    ck_assert_uint_eq(read + reader.torn + reader.lost, head_of(ring));
    ck_assert_uint_le(state.header->next_seq - records, reader.torn);
}

START_TEST(a_writer_killed_at_any_store_damages_its_own_cell_alone) {
    killed_writer(1, _i);
}
END_TEST

START_TEST(a_writer_killed_at_any_store_damages_its_own_four_cells_alone) {
    killed_writer(4, _i);
}
END_TEST

/* A writer sleeps before its store number stop_at until others have written a lap and extra records more. */
static void sleeper(unsigned cells, int stop_at, unsigned extra) {
    static struct writer w;
    static unsigned char seen[4096];
    enum ring_id ring = cells == 1 ? RING_CLOSES : RING_INCIDENTS;
    uint64_t read = 0, lap = state.cells[ring];
    unsigned others = (unsigned)lap / cells + extra;
    memset(seen, 0, sizeof seen);
    w.record = make(4095, cells);
    start_and_stop(&w, stop_at);
    for (unsigned i = 0; i < others; i++) {
        struct event_record r = make(i, cells);
        ck_assert(ring_write(&state, &r));
    }
    finish(&w, false);
    unsigned records = drain(ring, &read, seen);
    ck_assert_uint_eq(read + reader.torn + reader.lost, head_of(ring));
    ck_assert_uint_eq(seen[4095], 0);
    ck_assert(!w.written);
    ck_assert_uint_eq(state_counter(&state, COUNT_EVENTS_DROPPED), 1);
    /* Of the last lap, nothing but what lies in the sleeper's cells may be missing, and nothing comes twice. */
    unsigned missing = 0;
    for (unsigned i = others - (unsigned)lap / cells; i < others; i++) {
        ck_assert_uint_le(seen[i], 1);
        missing += !seen[i];
    }
    ck_assert_uint_le(missing, 2);
    ck_assert_uint_le(reader.torn, cells + (missing ? cells : 0));
    ck_assert_uint_ge(records + missing, lap / cells);
    ck_assert_uint_eq(state.header->next_seq, others + 1);
}

START_TEST(a_writer_woken_a_lap_later_forges_nothing_and_erases_its_own_cell_at_most) {
    sleeper(1, _i, 1);
    gone();
    fresh();
    sleeper(1, _i, 700);
}
END_TEST

START_TEST(a_writer_of_four_cells_woken_a_lap_later_forges_nothing) {
    sleeper(4, _i, 1);
    gone();
    fresh();
    sleeper(4, _i, 70);
}
END_TEST

/* Two writers a lap apart, both stopped in the same cell, woken in either order. */
START_TEST(two_writers_stopped_in_one_cell_forge_nothing) {
    static struct writer old, new;
    static unsigned char seen[4096];
    for (int i = 0; i < 2 * STORES_OF_A_CELL; i++) {
        uint64_t read = 0, lap = state.cells[RING_CLOSES];
        bool old_first = i % 2;
        memset(seen, 0, sizeof seen);
        old.record = make(4094, 1);
        new.record = make(4095, 1);
        start_and_stop(&old, STORES_OF_RING_WRITE + _i);
        for (uint64_t n = 1; n < lap; n++)
            put(n);
        start_and_stop(&new, STORES_OF_RING_WRITE + i / 2);
        finish(old_first ? &old : &new, false);
        finish(old_first ? &new : &old, false);
        unsigned records = drain(RING_CLOSES, &read, seen);
        ck_assert_uint_eq(seen[4094], 0);
        ck_assert_uint_eq(seen[4095] + reader.torn, 1);
        if (old_first && i / 2 == 0) /* all of its stores came last */
            ck_assert_uint_eq(seen[4095], 1);
        ck_assert_uint_eq(records, lap - reader.torn);
        ck_assert_uint_eq(read + reader.torn + reader.lost, head_of(RING_CLOSES));
        gone();
        fresh();
    }
}
END_TEST

START_TEST(garbage_beyond_the_head_is_written_over) {
    uint64_t cells = 0;
    state.ring[RING_CLOSES][0].number = UINT64_MAX;
    put(1);
    ck_assert_uint_eq(drain(RING_CLOSES, &cells, NULL), 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_record_of_one_to_four_cells_comes_back_as_written);
    tcase_add_test(tc, an_exhausted_event_takes_as_many_cells_as_its_sources_need);
    tcase_add_test(tc, closes_do_not_evict_incidents);
    tcase_add_test(tc, records_wrap_around_the_end_of_the_ring);
    tcase_add_test(tc, a_reader_that_is_overrun_counts_what_it_lost);
    tcase_add_test(tc, a_new_reader_starts_at_the_oldest_record_and_has_lost_nothing);
    tcase_add_test(tc, a_record_being_written_is_waited_for_as_long_as_patience_lasts);
    int one = STORES_OF_RING_WRITE + STORES_OF_A_CELL, four = STORES_OF_RING_WRITE + 4 * STORES_OF_A_CELL;
    tcase_add_loop_test(tc, a_writer_killed_at_any_store_damages_its_own_cell_alone, 0, one);
    tcase_add_loop_test(tc, a_writer_killed_at_any_store_damages_its_own_four_cells_alone, 0, four);
    tcase_add_loop_test(tc, a_writer_woken_a_lap_later_forges_nothing_and_erases_its_own_cell_at_most, 0, one);
    tcase_add_loop_test(tc, a_writer_of_four_cells_woken_a_lap_later_forges_nothing, 0, four);
    tcase_add_loop_test(tc, two_writers_stopped_in_one_cell_forge_nothing, 0, STORES_OF_A_CELL);
    tcase_add_test(tc, garbage_beyond_the_head_is_written_over);
    suite_add_tcase(suite, tc);
    return run(suite);
}
