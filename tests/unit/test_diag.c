/* net/diag: exact questions to the kernel, in a network namespace of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/diag.h"
#include "suite.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* A connection over loopback: both ends, and the quadruplet as seen from ours. */
struct connection {
    int ours, theirs, listener;
    struct endpoint local, peer;
};

static bool no_namespace;

static void own_namespace(void) {
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        no_namespace = true;
        return;
    }
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
}

static struct endpoint name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *)) {
    struct sockaddr_storage ss;
    struct endpoint e = {0};
    socklen_t length = sizeof ss;
    ck_assert_int_eq(ask(fd, (struct sockaddr *)&ss, &length), 0);
    ck_assert(endpoint_from_sockaddr(&e, &ss, length));
    return e;
}

static int ask_peer(int fd, struct sockaddr *out, socklen_t *length) {
    return getpeername(fd, out, length);
}

static int ask_local(int fd, struct sockaddr *out, socklen_t *length) {
    return getsockname(fd, out, length);
}

/* server: address to listen on. family: of the client's socket. bound: to the device lo. */
static struct connection connect_to(struct addr server, int family, bool bound) {
    struct connection c;
    struct sockaddr_storage ss;
    struct endpoint at = {.addr = server};
    int listen_family = addr_is_v4(&server) ? AF_INET : AF_INET6;
    c.listener = socket(listen_family, SOCK_STREAM, 0);
    socklen_t length = endpoint_to_sockaddr(&ss, &at, listen_family);
    ck_assert_int_eq(bind(c.listener, (struct sockaddr *)&ss, length), 0);
    ck_assert_int_eq(listen(c.listener, 5), 0);
    at = name_of(c.listener, ask_local);
    c.ours = socket(family, SOCK_STREAM, 0);
    if (bound)
        ck_assert_int_eq(setsockopt(c.ours, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
    length = endpoint_to_sockaddr(&ss, &at, family);
    ck_assert_int_eq(connect(c.ours, (struct sockaddr *)&ss, length), 0);
    c.theirs = accept(c.listener, NULL, NULL);
    ck_assert_int_ge(c.theirs, 0);
    c.local = name_of(c.ours, ask_local);
    c.peer = name_of(c.ours, ask_peer);
    return c;
}

static int ask(const struct connection *c, struct diag_answer *out) {
    struct tuple tuple = tuple_of(&c->local.addr, c->local.port, &c->peer.addr, c->peer.port);
    return diag_lookup(&tuple, out);
}

static int lookup(const struct addr *local, uint16_t local_port, const struct addr *peer, uint16_t peer_port,
                  struct diag_answer *out) {
    struct tuple tuple = tuple_of(local, local_port, peer, peer_port);
    return diag_lookup(&tuple, out);
}

static uint64_t cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
    return cookie;
}

static const struct addr v6_loopback = {.b = {[15] = 1}};

/* The three kinds of connection: IPv4, IPv4 on an AF_INET6 socket, IPv6. */
static struct connection connect_kind(int kind) {
    struct addr v4 = addr_from_v4(INADDR_LOOPBACK);
    return connect_to(kind == 2 ? v6_loopback : v4, kind == 0 ? AF_INET : AF_INET6, false);
}

START_TEST(an_established_connection_is_found_with_its_cookie) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    ck_assert_int_eq(ask(&c, &a), 0);
    ck_assert_uint_eq(a.state, TCP_ESTABLISHED);
    ck_assert_uint_eq(a.cookie, cookie_of(c.ours));
    ck_assert_uint_ne(a.cookie, cookie_of(c.theirs));
}
END_TEST

START_TEST(its_time_wait_is_found_with_the_cookie_asked_before_the_close) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    uint64_t cookie = cookie_of(c.ours);
    close(c.ours);
    ck_assert_int_eq(ask(&c, &a), 0);
    ck_assert_msg(a.state == TCP_FIN_WAIT1 || a.state == TCP_FIN_WAIT2, "state %u", a.state);
    close(c.theirs);
    ck_assert_int_eq(ask(&c, &a), 0);
    ck_assert_uint_eq(a.state, TCP_TIME_WAIT);
    ck_assert_uint_eq(a.timer, 3);
    ck_assert_uint_gt(a.expires_ms, 58000);
    ck_assert_uint_le(a.expires_ms, 60500);
    ck_assert_uint_eq(a.cookie, cookie);
}
END_TEST

START_TEST(a_time_wait_that_was_there_before_the_cookie_has_another) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    shutdown(c.ours, SHUT_WR);
    close(c.theirs);
    uint64_t late = cookie_of(c.ours);
    ck_assert_int_eq(ask(&c, &a), 0);
    ck_assert_uint_eq(a.state, TCP_TIME_WAIT);
    ck_assert_uint_ne(a.cookie, late);
}
END_TEST

START_TEST(what_was_reset_is_gone_and_its_listener_is_not_taken_for_it) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    ck_assert_int_eq(setsockopt(c.ours, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(c.ours);
    ck_assert_int_eq(ask(&c, &a), -ENOENT);
    /* From the server's side the listener on the local port is still there. */
    ck_assert_int_eq(lookup(&c.peer.addr, c.peer.port, &c.local.addr, c.local.port, &a), -ENOENT);
}
END_TEST

START_TEST(the_peers_end_is_another_quadruplet) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    close(c.ours);
    ck_assert_int_eq(lookup(&c.peer.addr, c.peer.port, &c.local.addr, c.local.port, &a), 0);
    ck_assert_uint_eq(a.state, TCP_CLOSE_WAIT);
}
END_TEST

START_TEST(a_port_off_by_one_is_not_found) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    uint16_t port = (uint16_t)(c.local.port ^ 1);
    ck_assert_int_eq(lookup(&c.local.addr, port, &c.peer.addr, c.peer.port, &a), -ENOENT);
    ck_assert_int_eq(lookup(&c.local.addr, c.local.port, &c.peer.addr, (uint16_t)(c.peer.port ^ 1), &a), -ENOENT);
}
END_TEST

START_TEST(errno_and_descriptors_stay_as_they_are) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(0);
    int before = dup(0), after;
    close(before);
    errno = 4711;
    (void)ask(&c, &a);
    close(c.ours);
    close(c.theirs);
    c.local.port = 1;
    (void)ask(&c, &a);
    ck_assert_int_eq(errno, 4711);
    c.ours = dup(0);
    c.theirs = dup(0);
    after = dup(0);
    ck_assert_int_eq(after, before);
}
END_TEST

START_TEST(without_descriptors_it_says_so) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(0);
    int first = dup(0), last = first;
    for (int fd = first; fd >= 0; fd = dup(0))
        last = fd;
    int r = ask(&c, &a);
    for (int fd = first; fd <= last; fd++)
        close(fd);
    ck_assert_int_eq(r, -EMFILE);
}
END_TEST

START_TEST(a_kernel_that_could_not_be_asked_is_not_taken_for_one_without_answers) {
    int lost = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(diag_works(), 1);
    ck_assert_int_eq(diag_answers(lost), -ENOTSOCK);
    close(lost);
    ck_assert_int_eq(diag_answers(lost), -EBADF);
}
END_TEST

/* The kernel compares the interface too: fate must not take such an answer for a reset. */
START_TEST(a_connection_bound_to_a_device_is_found_when_its_interface_is_named) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    for (int six = 0; six < 2; six++) {
        struct addr server = six ? v6_loopback : addr_from_v4(INADDR_LOOPBACK);
        struct connection c = connect_to(server, six ? AF_INET6 : AF_INET, true);
        ck_assert_int_eq(ask(&c, &a), -ENOENT);
        unsigned lo = if_nametoindex("lo");
        struct tuple tuple = tuple_of(&c.local.addr, c.local.port, &c.peer.addr, c.peer.port);
        tuple.interface = lo;
        ck_assert_int_eq(diag_lookup(&tuple, &a), 0);
    }
}
END_TEST

static struct endpoint listen_at(int family, struct addr address, int *fd) {
    struct sockaddr_storage ss;
    struct endpoint at = {.addr = address};
    *fd = socket(family, SOCK_STREAM, 0);
    socklen_t length = endpoint_to_sockaddr(&ss, &at, family);
    ck_assert_int_eq(bind(*fd, (struct sockaddr *)&ss, length), 0);
    ck_assert_int_eq(listen(*fd, 1), 0);
    at.port = name_of(*fd, ask_local).port;
    return at;
}

/* Asked for: its own address; one that it listens on with all others; both of its wildcards. */
START_TEST(a_listener_is_found_by_what_a_second_one_would_bind) {
    const struct addr v4 = addr_from_v4(INADDR_LOOPBACK), any4 = addr_from_v4(0), any6 = {{0}};
    const struct {
        int family;
        struct addr listens, asked;
    } cases[] = {{AF_INET, v4, v4},      {AF_INET, any4, v4},           {AF_INET, any4, any4},
                 {AF_INET, any4, any6},  {AF_INET6, any6, any4},        {AF_INET6, any6, v4},
                 {AF_INET6, any6, any6}, {AF_INET6, any6, v6_loopback}, {AF_INET6, v6_loopback, v6_loopback}};
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd;
        struct endpoint at = listen_at(cases[i].family, cases[i].listens, &fd);
        at.addr = cases[i].asked;
        ck_assert_msg(diag_lookup_listener(&at, &a) == 0 && a.state == TCP_LISTEN, "case %zu", i);
        struct endpoint next = {.addr = at.addr, .port = (uint16_t)(at.port ^ 1)};
        ck_assert_int_eq(diag_lookup_listener(&next, &a), -ENOENT);
        close(fd);
        ck_assert_int_eq(diag_lookup_listener(&at, &a), -ENOENT);
    }
}
END_TEST

START_TEST(a_connection_or_its_time_wait_is_no_listener) {
    struct diag_answer a = {0};
    if (no_namespace)
        return;
    struct connection c = connect_kind(_i);
    ck_assert_int_eq(diag_lookup_listener(&c.local, &a), -ENOENT);
    ck_assert_int_eq(diag_lookup_listener(&c.peer, &a), 0);
    close(c.ours);
    close(c.theirs);
    ck_assert_int_eq(diag_lookup_listener(&c.local, &a), -ENOENT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("diag");
    TCase *tc = tcase_create("diag");
    tcase_add_checked_fixture(tc, own_namespace, NULL);
    tcase_add_loop_test(tc, an_established_connection_is_found_with_its_cookie, 0, 3);
    tcase_add_loop_test(tc, its_time_wait_is_found_with_the_cookie_asked_before_the_close, 0, 3);
    tcase_add_loop_test(tc, a_time_wait_that_was_there_before_the_cookie_has_another, 0, 3);
    tcase_add_loop_test(tc, what_was_reset_is_gone_and_its_listener_is_not_taken_for_it, 0, 3);
    tcase_add_loop_test(tc, the_peers_end_is_another_quadruplet, 0, 3);
    tcase_add_loop_test(tc, a_port_off_by_one_is_not_found, 0, 3);
    tcase_add_test(tc, errno_and_descriptors_stay_as_they_are);
    tcase_add_test(tc, without_descriptors_it_says_so);
    tcase_add_test(tc, a_kernel_that_could_not_be_asked_is_not_taken_for_one_without_answers);
    tcase_add_test(tc, a_connection_bound_to_a_device_is_found_when_its_interface_is_named);
    tcase_add_test(tc, a_listener_is_found_by_what_a_second_one_would_bind);
    tcase_add_loop_test(tc, a_connection_or_its_time_wait_is_no_listener, 0, 3);
    suite_add_tcase(suite, tc);
    return run(suite);
}
