/* A dump of sockets, as the kernel's replies read: whole, or given up. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "suite.h"
#include "tool/host/dump.h"

static _Alignas(NLMSG_ALIGNTO) char reply[1024];
static size_t length;
static unsigned seen;
static struct dump_socket last;

static void each(const struct dump_socket *s, void *context) {
    (void)context;
    last = *s;
    seen++;
}

static void begin(void) {
    length = 0;
    seen = 0;
}

static void add(uint16_t type, const void *payload, size_t size) {
    struct nlmsghdr header = {
        .nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = NLM_F_MULTI};
    memcpy(reply + length, &header, sizeof header);
    memcpy(reply + length + NLMSG_HDRLEN, payload, size);
    length += NLMSG_SPACE(size);
}

static void add_socket(uint16_t local_port) {
    struct inet_diag_msg m = {
        .idiag_family = AF_INET, .idiag_state = TCP_TIME_WAIT, .id.idiag_sport = htons(local_port)};
    add(SOCK_DIAG_BY_FAMILY, &m, sizeof m);
}

static void add_end(int error) {
    add(NLMSG_DONE, &error, sizeof error);
}

START_TEST(the_end_without_an_error_is_the_end) {
    begin();
    add_socket(40000);
    add_socket(40001);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 1);
    ck_assert_uint_eq(seen, 2);
    ck_assert_uint_eq(last.local_port, 40001);
    begin();
    add_socket(40002);
    add_end(0);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 0);
    ck_assert_uint_eq(seen, 1);
}
END_TEST

/* What libmnl would take for the end of a whole dump. */
START_TEST(the_end_with_an_error_is_that_error) {
    static const int errors[] = {ENOBUFS, ENOENT, EINVAL, EMSGSIZE};
    begin();
    add_socket(40000);
    add_end(-errors[_i]);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), -errors[_i]);
    ck_assert_uint_eq(seen, 1); /* what came before was given */
    begin();
    add_end(-errors[_i]);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), -errors[_i]);
    ck_assert_uint_eq(seen, 0);
}
END_TEST

/* An emulator may leave the number out. */
START_TEST(an_end_without_a_number_is_the_end) {
    begin();
    add(NLMSG_DONE, "", 0);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 0);
}
END_TEST

START_TEST(an_error_message_is_that_error) {
    struct nlmsgerr refused = {.error = -EACCES};
    begin();
    add_socket(40000);
    add(NLMSG_ERROR, &refused, sizeof refused);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), -EACCES);
}
END_TEST

/* Emulators (qemu-user, gVisor) may answer with less than Linux does. */
START_TEST(a_socket_that_is_cut_short_is_none) {
    struct inet_diag_msg m = {.idiag_family = AF_INET};
    begin();
    add(SOCK_DIAG_BY_FAMILY, &m, sizeof m - 4);
    add_end(0);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 0);
    ck_assert_uint_eq(seen, 0);
}
END_TEST

START_TEST(a_listeners_v6_only_is_read_from_its_attributes) {
    struct {
        struct inet_diag_msg m;
        struct rtattr first;
        char shutdown[4];
        struct rtattr second;
        char v6_only[4];
    } listener = {.m = {.idiag_family = AF_INET6, .idiag_state = TCP_LISTEN},
                  .first = {.rta_len = RTA_LENGTH(0) + 1, .rta_type = INET_DIAG_SHUTDOWN},
                  .second = {.rta_len = RTA_LENGTH(0) + 1, .rta_type = INET_DIAG_SKV6ONLY},
                  .v6_only = {1}};
    begin();
    add(SOCK_DIAG_BY_FAMILY, &listener, sizeof listener);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 1);
    ck_assert(last.v6_only);
    listener.second.rta_len = RTA_LENGTH(0); /* no value, and one that leads out of the message */
    begin();
    add(SOCK_DIAG_BY_FAMILY, &listener, sizeof listener);
    listener.first.rta_len = 60000;
    add(SOCK_DIAG_BY_FAMILY, &listener, sizeof listener);
    ck_assert_int_eq(dump_take(reply, length, each, NULL), 1);
    ck_assert(!last.v6_only);
    ck_assert_uint_eq(seen, 2);
}
END_TEST

START_TEST(what_is_no_reply_is_an_error) {
    begin();
    add_socket(40000);
    ck_assert_int_eq(dump_take(reply, length - 8, each, NULL), -EPROTO);
    ck_assert_int_eq(dump_take(reply, 8, each, NULL), -EPROTO);
    ck_assert_uint_eq(seen, 0);
    ((struct nlmsghdr *)(void *)reply)->nlmsg_len = 3;
    ck_assert_int_eq(dump_take(reply, length, each, NULL), -EPROTO);
    begin();
    add_socket(40000);
    ((struct nlmsghdr *)(void *)reply)->nlmsg_flags |= NLM_F_DUMP_INTR;
    ck_assert_int_eq(dump_take(reply, length, each, NULL), -EINTR);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dump");
    TCase *tc = tcase_create("dump");
    tcase_add_test(tc, the_end_without_an_error_is_the_end);
    tcase_add_loop_test(tc, the_end_with_an_error_is_that_error, 0, 4);
    tcase_add_test(tc, an_end_without_a_number_is_the_end);
    tcase_add_test(tc, an_error_message_is_that_error);
    tcase_add_test(tc, a_socket_that_is_cut_short_is_none);
    tcase_add_test(tc, a_listeners_v6_only_is_read_from_its_attributes);
    tcase_add_test(tc, what_is_no_reply_is_an_error);
    suite_add_tcase(suite, tc);
    return run(suite);
}
