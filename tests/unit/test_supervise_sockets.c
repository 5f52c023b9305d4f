/* What the supervisor knows of sockets between calls: a record that a call is served with is no other's. */
#include <netinet/in.h>
#include <stdlib.h>

#include "client/process.h"
#include "client/track.h"
#include "tool/supervise/sockets.h"
#include "suite.h"

enum { COOKIE = 4711, FD = 900 };

static struct client client;
static struct sockets *sockets;
static struct peer peer = {.tid = 1, .pid = 1};

static void set_up(void) {
    ck_assert(state_private(&client.state, "test"));
    sockets = malloc(sizeof *sockets);
    ck_assert_ptr_nonnull(sockets);
    sockets_init(sockets, true);
    conn_install(&client, FD, conn_made(&client, AF_INET, false, process_generation()));
    sockets_keep(sockets, COOKIE, FD, &peer);
}

static struct known_socket *lost(void) {
    unsigned from = 0;
    return sockets_take_lost(sockets, &from, 1, UINT64_MAX);
}

START_TEST(what_a_dump_has_not_is_lost) {
    struct known_socket *known = lost();
    ck_assert_ptr_nonnull(known);
    ck_assert_ptr_null(lost());
    free(known);
}
END_TEST

/* A socket whose connect was refused is in no dump. */
START_TEST(but_not_while_a_call_is_served_with_it) {
    ck_assert(sockets_lend(sockets, &client, COOKIE, FD));
    ck_assert(sockets_lend(sockets, &client, COOKIE, FD + 1));
    ck_assert_ptr_null(lost());
    sockets_return(sockets, COOKIE, FD);
    ck_assert_ptr_null(lost());
    sockets_return(sockets, COOKIE, FD + 1);
    struct known_socket *known = lost();
    ck_assert_ptr_nonnull(known);
    ck_assert_uint_eq(known->conn->refs, 1);
    free(known);
}
END_TEST

START_TEST(what_is_not_known_cannot_be_lent) {
    ck_assert(!sockets_lend(sockets, &client, COOKIE + 1, FD));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("supervise_sockets");
    TCase *tc = tcase_create("supervise_sockets");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, what_a_dump_has_not_is_lost);
    tcase_add_test(tc, but_not_while_a_call_is_served_with_it);
    tcase_add_test(tc, what_is_not_known_cannot_be_lent);
    suite_add_tcase(suite, tc);
    return run(suite);
}
