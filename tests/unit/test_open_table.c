/* client/open_table: threads that write down the first connections of a process at once share one chunk. Also under
 * TSan. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "client/fdtab.h"
#include "client/open_table.h"
#include "client/process.h"
#include "state/create.h"
#include "state/open_chunk.h"
#include "scratch.h"
#include "suite.h"

enum { THREADS = 4, ROUNDS = 500, LOG_SIZE = 64 << 10 };

static struct client client;
static struct conn *conn[THREADS];
static pthread_barrier_t barrier;

static void own_folder(void) {
    int error;
    scratch_begin();
    ck_assert_int_eq(state_create(&client.state, path, "test", (struct state_sizes){.log = LOG_SIZE}, &error),
                     STATE_OK);
    memcpy(client.program, "test", 5);
    process_init();
    for (int i = 0; i < THREADS; i++) {
        ck_assert_ptr_nonnull(conn[i] = conn_new());
        conn[i]->peer.port = (uint16_t)(80 + i);
    }
    ck_assert_uint_eq(conn_index(conn[0]) / OPEN_PER_CHUNK, conn_index(conn[THREADS - 1]) / OPEN_PER_CHUNK);
}

static void no_folder(void) {
    state_unmap(&client.state);
    scratch_end();
}

static unsigned chunks_taken(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < open_chunks(&client.state); i++)
        n += client.state.open_table->owner[i] != 0;
    return n;
}

static bool is_written_down(const struct conn *c) {
    for (unsigned i = 0; i < open_chunks(&client.state); i++) {
        const struct open_entry *e = &open_chunk_of(&client.state, i)->entry[conn_index(c) % OPEN_PER_CHUNK];
        if (client.state.open_table->owner[i] == (uint64_t)getpid() && e->word == OPEN_NOW &&
            e->peer_port == c->peer.port)
            return true;
    }
    return false;
}

static void *write_down(void *own) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        open_table_opened(&client, own);
        pthread_barrier_wait(&barrier); /* looked at, and all given back */
    }
    return NULL;
}

START_TEST(threads_that_connect_first_at_once_share_a_chunk) {
    pthread_t thread[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, write_down, conn[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        /* The threads are at the first barrier of the next round. */
        ck_assert_uint_eq(chunks_taken(), 1);
        for (int i = 0; i < THREADS; i++)
            ck_assert_msg(is_written_down(conn[i]), "round %d: connection %d is not there", round, i);
        open_table_release(&client);
        ck_assert_uint_eq(chunks_taken(), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("open_table");
    TCase *tc = tcase_create("open_table");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_add_test(tc, threads_that_connect_first_at_once_share_a_chunk);
    suite_add_tcase(suite, tc);
    return run(suite);
}
