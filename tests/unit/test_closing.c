/* close/closing: a close of what another thread is at work with. Its connection is real, in a namespace of its own. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/client.h"
#include "client/track.h"
#include "close/closing.h"
#include "suite.h"

static struct client client = {.env_mode = MODE_ENFORCE, .active = true};
static int listener, fd, peer;
static struct conn *conn;
static uint16_t local_port;
static bool no_namespace;

static uint16_t port_of(int socket) {
    struct sockaddr_in at;
    socklen_t length = sizeof at;
    ck_assert_int_eq(getsockname(socket, (struct sockaddr *)&at, &length), 0);
    return ntohs(at.sin_port);
}

static void own_namespace(void) {
    no_namespace = unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0;
    if (no_namespace)
        return;
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(ioctl(any, SIOCSIFFLAGS, &lo), 0);
    close(any);
}

/* A connection whose thread is back from the kernel, and has noted nothing yet. Its port has not been asked for. */
static void connected(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert(state_private(&client.state, "test"));
    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    to.sin_port = htons(port_of(listener));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct conn *c = conn_made(&client, AF_INET, false, 1);
    ck_assert_ptr_nonnull(c);
    conn_install(&client, fd, c);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    peer = accept(listener, NULL, NULL);
    local_port = port_of(fd);
    conn = conn_hold(&client, fd);
    ck_assert_ptr_eq(conn, c);
    ck_assert(endpoint_from_sockaddr(&conn->peer, &to, sizeof to));
    conn->rule_id = 7;
}

/* What it does then. */
static void noted(void) {
    conn->connected_ns = clock_ns(CLOCK_MONOTONIC);
    conn->phase = CONN_CONNECTED;
}

/* TIME-WAITs told; all of this connection. */
static unsigned told(void) {
    const struct cell *cell = client.state.ring[RING_CLOSES];
    unsigned n = 0;
    for (; cell[n].number != 0; n++) {
        struct event e;
        memcpy(&e, cell[n].payload, sizeof e);
        ck_assert_int_eq(e.kind, EVENT_TIME_WAIT);
        ck_assert_uint_eq(e.local_port, local_port);
        ck_assert_uint_eq(e.peer_port, conn->peer.port);
        ck_assert_uint_eq(e.rule_id, 7);
    }
    return n;
}

static void expect(unsigned events, unsigned unseen) {
    ck_assert_uint_eq(told(), events);
    ck_assert_uint_eq(state_counter(&client.state, COUNT_UNSEEN_CLOSE), unseen);
    ck_assert_msg(conn_new() == conn, "the record was not freed");
    close(peer);
    close(listener);
    state_unmap(&client.state);
}

START_TEST(a_close_at_the_tail_of_a_connect_is_told) {
    struct closing c;
    if (no_namespace)
        return;
    connected();
    closing_begin(&c, &client, fd, VIA_CLOSE, true);
    if (_i == 0) { /* before the real close, or after it */
        noted();
        conn_release(&client, conn);
    }
    ck_assert_int_eq(close(fd), 0);
    if (_i == 1) {
        noted();
        conn_release(&client, conn);
    }
    closing_end(&c, true);
    expect(1, 0);
}
END_TEST

START_TEST(a_thread_that_comes_back_later_finds_it_told) {
    struct closing c;
    if (no_namespace)
        return;
    connected();
    closing_begin(&c, &client, fd, VIA_CLOSE, true);
    ck_assert_int_eq(close(fd), 0);
    closing_end(&c, true);
    noted();
    ck_assert_uint_eq(told(), 1);
    conn_release(&client, conn);
    expect(1, 0);
}
END_TEST

START_TEST(a_dup2_of_one_of_two_copies_leaves_the_record_alone) {
    struct closing c;
    struct conn before;
    if (no_namespace)
        return;
    connected();
    noted();
    conn_release(&client, conn);
    int copy = dup(fd);
    conn_install(&client, copy, conn_share(fd));
    memcpy(&before, conn, sizeof before);
    closing_begin(&c, &client, fd, VIA_DUP2, false);
    before.refs = conn->refs;
    ck_assert_int_eq(memcmp(&before, conn, sizeof before), 0);
    closing_abort(&c);
    for (int i = 0; i < 2; i++) {
        int one = i ? copy : fd;
        ck_assert_uint_eq(told(), 0);
        closing_begin(&c, &client, one, VIA_CLOSE, true);
        ck_assert_int_eq(close(one), 0);
        closing_end(&c, true);
    }
    expect(1, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("closing");
    TCase *tc = tcase_create("closing");
    tcase_add_checked_fixture(tc, own_namespace, NULL);
    tcase_add_loop_test(tc, a_close_at_the_tail_of_a_connect_is_told, 0, 2);
    tcase_add_test(tc, a_thread_that_comes_back_later_finds_it_told);
    tcase_add_test(tc, a_dup2_of_one_of_two_copies_leaves_the_record_alone);
    suite_add_tcase(suite, tc);
    return run(suite);
}
