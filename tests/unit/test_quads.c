/* What `connspread quads` counts, and what it makes of it. */
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "tool/host/socket_table.h"
#include "text/parse.h"
#include "suite.h"

static struct quads_listeners listeners;
static struct quads_table table;

static void set_up(void) {
    memset(&listeners, 0, sizeof listeners);
    table = (struct quads_table){.ephemeral = {32768, 60999}, .listeners = &listeners, .seed = 1};
}

static void tear_down(void) {
    quads_free(&table);
    quads_listeners_free(&listeners);
}

static struct addr address(const char *text) {
    struct addr a;
    ck_assert_ptr_null(parse_address(text, &a));
    return a;
}

static void add(uint8_t state, const char *local, uint16_t local_port, const char *peer, uint16_t peer_port) {
    struct dump_socket s = {.local = address(local),
                            .local_port = local_port,
                            .peer = address(peer),
                            .peer_port = peer_port,
                            .state = state};
    quads_add(&table, &s);
}

static void listen_on(const char *text, uint16_t port, bool v6_only) {
    struct addr a = address(text);
    quads_note_listener(&listeners, &a, port, v6_only);
}

static void expect_source(const struct quads_pair *p, const char *text) {
    struct addr wanted = address(text);
    ck_assert(addr_compare(&p->source, &wanted) == 0);
}

static bool accepted(const char *text, uint16_t port) {
    struct addr a = address(text);
    return quads_is_accepted(&listeners, &a, port);
}

START_TEST(states_are_counted_as_people_ask_for_them) {
    static const uint8_t states[] = {TCP_ESTABLISHED, TCP_TIME_WAIT, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_SYN_SENT,
                                     TCP_SYN_RECV,    TCP_LAST_ACK,  TCP_CLOSING,   TCP_CLOSE_WAIT};
    static const uint32_t expected[QUADS_COUNTS] = {1, 1, 2, 5};
    for (unsigned i = 0; i < sizeof states; i++)
        add(states[i], "10.0.0.1", (uint16_t)(40000 + i), "10.1.0.1", 80);
    ck_assert_uint_eq(table.n, 1);
    for (unsigned i = 0; i < QUADS_COUNTS; i++) {
        ck_assert_uint_eq(table.pair[0].count[i], expected[i]);
        ck_assert_uint_eq(table.total[i], expected[i]);
    }
    ck_assert_uint_eq(quads_taken(&table.pair[0]), 9);
}
END_TEST

START_TEST(a_pair_is_source_destination_and_port) {
    add(TCP_ESTABLISHED, "10.0.0.1", 40000, "10.1.0.1", 80);
    add(TCP_ESTABLISHED, "10.0.0.1", 40001, "10.1.0.1", 80);
    add(TCP_ESTABLISHED, "10.0.0.2", 40000, "10.1.0.1", 80);
    add(TCP_ESTABLISHED, "10.0.0.1", 40000, "10.1.0.2", 80);
    add(TCP_ESTABLISHED, "10.0.0.1", 40000, "10.1.0.1", 81);
    add(TCP_ESTABLISHED, "fd00::1", 40000, "fd00::2", 80);
    ck_assert_uint_eq(table.n, 5);
    ck_assert_uint_eq(table.pair[0].count[QUADS_ESTABLISHED], 2);
}
END_TEST

START_TEST(many_pairs_are_all_found_again) {
    enum { MANY = 40000, ROUNDS = 3 };
    struct dump_socket s = {.local = address("10.0.0.1"), .local_port = 40000, .state = TCP_ESTABLISHED};
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            s.peer = addr_from_v4(0x0a000000 + i % 1000);
            s.peer_port = (uint16_t)(1 + i / 1000);
            quads_add(&table, &s);
        }
    }
    ck_assert(!table.no_memory);
    ck_assert_uint_eq(table.n, MANY);
    for (size_t i = 0; i < table.n; i++)
        ck_assert_uint_eq(quads_taken(&table.pair[i]), ROUNDS);
}
END_TEST

/* Time to add pairs of which each has a peer or a port of its own. */
static clock_t time_of(unsigned n, bool peers) {
    struct dump_socket s = {.local = address("10.0.0.1"), .local_port = 40000, .state = TCP_ESTABLISHED};
    clock_t began = clock();
    for (uint32_t i = 0; i < n; i++) {
        s.peer = addr_from_v4(0x0a140000 + (peers ? i : 0));
        s.peer_port = (uint16_t)(peers ? 443 : 1 + i);
        quads_add(&table, &s);
    }
    ck_assert_uint_eq(table.n, n);
    quads_free(&table);
    set_up();
    return clock() - began;
}

/* What differs between the peers of a crawler lies in the uppermost bits of their addresses. */
START_TEST(many_peers_take_no_longer_than_many_ports) {
    clock_t ports = time_of(40000, false), peers = time_of(40000, true);
    ck_assert_msg(peers <= 8 * ports + CLOCKS_PER_SEC / 10, "ports %ld, peers %ld", (long)ports, (long)peers);
}
END_TEST

START_TEST(the_earliest_time_wait_frees_the_next_quadruplet) {
    struct dump_socket s = {
        .local = address("10.0.0.1"), .local_port = 40000, .peer = address("10.1.0.1"), .peer_port = 80};
    s.state = TCP_FIN_WAIT2;
    s.expires_ms = 5;
    quads_add(&table, &s);
    ck_assert_uint_eq(table.pair[0].next_free_ms, QUADS_NEVER);
    s.state = TCP_TIME_WAIT;
    s.expires_ms = 30000;
    quads_add(&table, &s);
    s.expires_ms = 1200;
    quads_add(&table, &s);
    s.expires_ms = 59000;
    quads_add(&table, &s);
    ck_assert_uint_eq(table.pair[0].next_free_ms, 1200);
}
END_TEST

START_TEST(what_has_a_listeners_port_was_accepted) {
    listen_on("0.0.0.0", 80, false);
    listen_on("::", 81, true);
    listen_on("::", 82, false);
    listen_on("10.0.0.1", 83, false);
    listen_on("fd00::1", 83, false);
    quads_listeners_ready(&listeners);
    ck_assert(accepted("10.0.0.1", 80) && !accepted("fd00::1", 80));
    ck_assert(!accepted("10.0.0.1", 81) && accepted("fd00::1", 81));
    ck_assert(accepted("10.0.0.1", 82) && accepted("fd00::1", 82));
    ck_assert(accepted("10.0.0.1", 83) && accepted("fd00::1", 83));
    ck_assert(!accepted("10.0.0.2", 83) && !accepted("fd00::2", 83));
    ck_assert(!accepted("10.0.0.1", 84));
    add(TCP_ESTABLISHED, "10.0.0.1", 83, "10.1.0.1", 40000);
    add(TCP_ESTABLISHED, "10.0.0.2", 83, "10.1.0.1", 40000);
    ck_assert_uint_eq(table.n, 1);
    expect_source(&table.pair[0], "10.0.0.2");
}
END_TEST

START_TEST(many_listeners_on_single_addresses) {
    for (uint32_t i = 0; i < 1000; i++) {
        struct addr a = addr_from_v4(0x0a000000 + (i * 7919) % 1000);
        quads_note_listener(&listeners, &a, (uint16_t)(80 + i % 3), false);
    }
    quads_listeners_ready(&listeners);
    for (uint32_t i = 0; i < 1000; i++) {
        struct addr a = addr_from_v4(0x0a000000 + (i * 7919) % 1000);
        ck_assert(quads_is_accepted(&listeners, &a, (uint16_t)(80 + i % 3)));
        ck_assert(!quads_is_accepted(&listeners, &a, (uint16_t)(80 + (i + 1) % 3)));
    }
}
END_TEST

START_TEST(inbound_pairs_are_by_client) {
    table.inbound = true;
    listen_on("10.0.0.1", 80, false);
    quads_listeners_ready(&listeners);
    add(TCP_ESTABLISHED, "10.0.0.1", 80, "10.9.0.1", 40000);
    add(TCP_TIME_WAIT, "10.0.0.1", 80, "10.9.0.1", 1024);
    add(TCP_ESTABLISHED, "10.0.0.1", 40000, "10.9.0.1", 80);
    ck_assert_uint_eq(table.n, 1);
    expect_source(&table.pair[0], "10.9.0.1");
    ck_assert_uint_eq(table.pair[0].port, 80);
    ck_assert_uint_eq(quads_taken(&table.pair[0]), 2);
    ck_assert_uint_eq(table.pair[0].outside, 1);
}
END_TEST

START_TEST(capacity_is_the_range_without_reserved_ports) {
    static struct host_ports host;
    ck_assert(host_ports_parse(&host, "32768\t60999\n", "\n"));
    ck_assert_uint_eq(quads_capacity(&host, false), 28232);
    ck_assert(host_ports_parse(&host, "40000\t40099\n", "39999-40009,40099-40200,8080\n"));
    ck_assert_uint_eq(quads_capacity(&host, false), 89);
    ck_assert_uint_eq(quads_capacity(&host, true), 100);
    ck_assert(host_ports_parse(&host, "1\t65535\n", "1-65535\n"));
    ck_assert_uint_eq(quads_capacity(&host, false), 0);
}
END_TEST

START_TEST(percent_is_of_ports_inside_the_range) {
    struct quads_pair p = {.count = {20, 30, 0, 0}, .outside = 10};
    ck_assert_double_eq(quads_percent(&p, 80), 50);
    ck_assert_double_eq(quads_percent(&p, 0), 100);
}
END_TEST

START_TEST(the_fullest_pair_comes_first) {
    for (uint16_t i = 0; i < 5; i++)
        add(TCP_ESTABLISHED, "10.0.0.1", (uint16_t)(1000 + i), "10.1.0.1", 80); /* five, outside */
    add(TCP_ESTABLISHED, "10.0.0.3", 40000, "10.1.0.1", 80);
    add(TCP_ESTABLISHED, "10.0.0.2", 40000, "10.1.0.1", 80);
    add(TCP_ESTABLISHED, "10.0.0.2", 40000, "10.1.0.1", 81);
    add(TCP_ESTABLISHED, "10.0.0.2", 40001, "10.1.0.1", 81);
    quads_sort(&table);
    static const char *const source[] = {"10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.1"};
    static const uint16_t port[] = {81, 80, 80, 80};
    ck_assert_uint_eq(table.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        expect_source(&table.pair[i], source[i]);
        ck_assert_uint_eq(table.pair[i].port, port[i]);
    }
}
END_TEST

START_TEST(slabinfo_tells_the_size_of_a_time_wait) {
    static const char slabinfo[] = "slabinfo - version: 2.1\n"
                                   "# name            <active_objs> <num_objs> <objsize>\n"
                                   "tw_sock_TCPv6         96    176    264   16    1 : tunables    0    0    0\n"
                                   "tw_sock_TCP         1344   1344    256   16    1 : tunables    0    0    0\n"
                                   "broken\n";
    ck_assert_uint_eq(slab_object_bytes(slabinfo, "tw_sock_TCP"), 256);
    ck_assert_uint_eq(slab_object_bytes(slabinfo, "tw_sock_TCPv6"), 264);
    ck_assert_uint_eq(slab_object_bytes(slabinfo, "tw_sock"), 0);
    ck_assert_uint_eq(slab_object_bytes(slabinfo, "broken"), 0);
    ck_assert_uint_eq(slab_object_bytes("", "tw_sock_TCP"), 0);
}
END_TEST

int main(void) {
    Suite *s = suite_create("quads");
    TCase *t = tcase_create("table");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, states_are_counted_as_people_ask_for_them);
    tcase_add_test(t, a_pair_is_source_destination_and_port);
    tcase_add_test(t, many_pairs_are_all_found_again);
    tcase_add_test(t, many_peers_take_no_longer_than_many_ports);
    tcase_add_test(t, the_earliest_time_wait_frees_the_next_quadruplet);
    tcase_add_test(t, what_has_a_listeners_port_was_accepted);
    tcase_add_test(t, many_listeners_on_single_addresses);
    tcase_add_test(t, inbound_pairs_are_by_client);
    tcase_add_test(t, capacity_is_the_range_without_reserved_ports);
    tcase_add_test(t, percent_is_of_ports_inside_the_range);
    tcase_add_test(t, the_fullest_pair_comes_first);
    tcase_add_test(t, slabinfo_tells_the_size_of_a_time_wait);
    suite_add_tcase(s, t);
    return run(s);
}
