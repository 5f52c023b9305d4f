/* close/record: what the event of a close says, cell by cell. */
#include <string.h>

#include "client/client.h"
#include "close/record.h"
#include "state/ring.h"
#include "suite.h"

static struct client client = {.env_mode = MODE_OBSERVE};

/* What an earlier function of the client has left where ours will have its variables. */
__attribute__((noinline)) static void leave_secrets(void) {
    volatile char secret[8192];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = 's';
}

static const struct cell *cell(uint64_t n) {
    return &client.state.ring[RING_CLOSES][n];
}

static const char *payload(uint64_t n) {
    return (const char *)cell(n)->payload;
}

/* Of a peer that was translated on this host: both names, and of the client's stack nothing. */
START_TEST(a_second_cell_has_the_asked_peer_and_zeros) {
    struct conn conn = {.phase = CONN_CONNECTED, .peer = {.addr = addr_from_v4(0x0a010001), .port = 80}};
    struct closing c = {
        .client = &client,
        .conn = &conn,
        .peer = {.addr = addr_from_v4(0x0a020002), .port = 8080},
    };
    const struct event_asked asked = {.address = conn.peer.addr, .port = 80};
    struct event e;
    ck_assert(state_private(&client.state, "test"));
    leave_secrets();
    record_close(&c, FATE_TIME_WAIT, VERIFIED_NULL, 1);
    ck_assert_uint_eq(cell(0)->parts, 2);
    memcpy(&e, payload(0), sizeof e);
    ck_assert_uint_eq(e.direction, OUTBOUND | EVENT_ASKED);
    ck_assert_uint_eq(e.peer_port, 8080);
    ck_assert_int_eq(memcmp(payload(1), &asked, sizeof asked), 0);
    for (unsigned i = sizeof asked; i < CELL_PAYLOAD; i++)
        ck_assert_int_eq(payload(1)[i], 0);
    state_unmap(&client.state);
}
END_TEST

START_TEST(a_peer_that_was_asked_for_takes_one_cell) {
    struct conn conn = {.phase = CONN_CONNECTED, .peer = {.addr = addr_from_v4(0x0a010001), .port = 80}};
    struct closing c = {.client = &client, .conn = &conn};
    struct event e;
    ck_assert(state_private(&client.state, "test"));
    record_close(&c, FATE_TIME_WAIT, VERIFIED_NULL, 1);
    ck_assert_uint_eq(cell(0)->parts, 1);
    memcpy(&e, payload(0), sizeof e);
    ck_assert_uint_eq(e.direction, OUTBOUND);
    ck_assert_uint_eq(e.peer_port, 80);
    ck_assert_uint_eq(cell(1)->number, 0);
    state_unmap(&client.state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("close_record");
    TCase *tc = tcase_create("close_record");
    tcase_add_test(tc, a_second_cell_has_the_asked_peer_and_zeros);
    tcase_add_test(tc, a_peer_that_was_asked_for_takes_one_cell);
    suite_add_tcase(suite, tc);
    return run(suite);
}
