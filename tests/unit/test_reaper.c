/* Who is dead, and which of the kernel's sockets was whose. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/host/clients.h"
#include "tool/reaper/match.h"
#include "tool/reaper/reaped.h"
#include "tool/host/owner.h"
#include "base/sys.h"
#include "suite.h"
#include "system/xorshift.h"
#include "state/event.h"
#include "state/ring.h"

/* Seconds of this test, in microseconds. */
#define AT(s) ((uint64_t)((s)*1000000))

static struct addr v4(unsigned last) {
    return addr_from_v4(0x0a000000 | last);
}

static struct unmatched unmatched(unsigned local, unsigned peer, double connected, double alive) {
    struct unmatched o = {.local = v4(local), .peer = v4(peer), .peer_port = 80};
    o.connected_us = AT(connected);
    o.alive_us = AT(alive);
    if (local == 0)
        o.local = (struct addr){{0}};
    return o;
}

static struct candidate candidate(unsigned local, uint16_t port, unsigned peer, double entered) {
    return (struct candidate){
        .local = v4(local), .local_port = port, .peer = v4(peer), .peer_port = 80, .entered_us = AT(entered)};
}

/* The local port of the candidate that a connection got; 0: none. */
static unsigned got(const struct unmatched *o, const struct candidate *c) {
    return o->candidate == NO_CANDIDATE ? 0 : c[o->candidate].local_port;
}

START_TEST(nothing_matches_nothing) {
    struct unmatched o = unmatched(1, 9, 10, 20);
    match_sockets(NULL, 0, NULL, 0);
    match_sockets(&o, 1, NULL, 0);
    ck_assert_int_eq(o.candidate, NO_CANDIDATE);
}
END_TEST

START_TEST(address_destination_and_port_must_agree) {
    struct unmatched o = unmatched(1, 9, 10, 20);
    struct candidate c[] = {candidate(2, 1001, 9, 21), candidate(1, 1002, 8, 21), candidate(1, 1003, 9, 21)};
    c[2].peer_port = 81;
    match_sockets(&o, 1, c, 3);
    ck_assert_int_eq(o.candidate, NO_CANDIDATE);
}
END_TEST

START_TEST(an_unknown_address_matches_any) {
    struct unmatched o = unmatched(0, 9, 10, 20);
    struct candidate c[] = {candidate(7, 1001, 9, 21)};
    match_sockets(&o, 1, c, 1);
    ck_assert_uint_eq(got(&o, c), 1001);
}
END_TEST

START_TEST(a_known_address_is_served_before_an_unknown_one) {
    struct unmatched o[] = {unmatched(0, 9, 10, 20), unmatched(1, 9, 10, 20)};
    struct candidate c[] = {candidate(1, 1001, 9, 21), candidate(2, 1002, 9, 22)};
    match_sockets(o, 2, c, 2);
    ck_assert_uint_eq(got(&o[0], c), 1002);
    ck_assert_uint_eq(got(&o[1], c), 1001);
}
END_TEST

START_TEST(what_was_there_before_the_connect_is_not_it) {
    struct unmatched o = unmatched(1, 9, 10, 20);
    struct candidate c[] = {candidate(1, 1001, 9, 9)};
    match_sockets(&o, 1, c, 1);
    ck_assert_int_eq(o.candidate, NO_CANDIDATE);
}
END_TEST

START_TEST(the_first_after_the_last_sign_of_life_is_taken) {
    struct unmatched o = unmatched(1, 9, 10, 20);
    struct candidate c[] = {candidate(1, 1001, 9, 30), candidate(1, 1002, 9, 21), candidate(1, 1003, 9, 15)};
    match_sockets(&o, 1, c, 3);
    ck_assert_uint_eq(got(&o, c), 1002);
}
END_TEST

START_TEST(without_one_after_it_the_youngest_before_it_is_taken) {
    struct unmatched o = unmatched(1, 9, 10, 20);
    struct candidate c[] = {candidate(1, 1001, 9, 12), candidate(1, 1002, 9, 17), candidate(1, 1003, 9, 14)};
    match_sockets(&o, 1, c, 3);
    ck_assert_uint_eq(got(&o, c), 1002);
}
END_TEST

START_TEST(each_candidate_is_given_once_and_all_are) {
    enum { N = 300 };
    struct unmatched o[N];
    struct candidate c[N];
    unsigned char seen[N] = {0};
    for (unsigned i = 0; i < N; i++) {
        o[i] = unmatched(1 + i % 3, 9 - i % 2, 10 + i, 400);
        c[i] = candidate(1 + i % 3, (uint16_t)(1000 + i), 9 - i % 2, 401 + (i * 7) % 13);
    }
    match_sockets(o, N, c, N);
    for (unsigned i = 0; i < N; i++) {
        unsigned port = got(&o[i], c);
        ck_assert_uint_ne(port, 0);
        ck_assert_uint_eq(seen[port - 1000]++, 0);
        ck_assert_uint_eq((port - 1000) % 6, i % 6);
    }
}
END_TEST

START_TEST(too_few_go_to_as_many_as_there_are) {
    struct unmatched o[] = {unmatched(1, 9, 10, 20), unmatched(1, 9, 11, 20), unmatched(1, 9, 12, 20)};
    struct candidate c[] = {candidate(1, 1001, 9, 21), candidate(1, 1002, 9, 21)};
    unsigned matched = 0;
    match_sockets(o, 3, c, 2);
    for (unsigned i = 0; i < 3; i++)
        matched += o[i].candidate != NO_CANDIDATE;
    ck_assert_uint_eq(matched, 2);
}
END_TEST

START_TEST(the_one_connected_last_does_not_go_without) {
    /* Only 1002 began after the second was connected. */
    struct unmatched o[] = {unmatched(1, 9, 10, 20), unmatched(1, 9, 15, 20)};
    struct candidate c[] = {candidate(1, 1001, 9, 12), candidate(1, 1002, 9, 17)};
    match_sockets(o, 2, c, 2);
    ck_assert_uint_eq(got(&o[0], c), 1001);
    ck_assert_uint_eq(got(&o[1], c), 1002);
}
END_TEST

static unsigned below(unsigned n) {
    return (unsigned)((random_next() >> 32) * n >> 32);
}

/* What match.h says, by looking at each. */
static int best(const struct unmatched *o, const struct candidate *c, unsigned n) {
    int late = NO_CANDIDATE, early = NO_CANDIDATE;
    for (unsigned i = 0; i < n; i++) {
        bool fits = !c[i].taken && addr_compare(&c[i].peer, &o->peer) == 0 && c[i].entered_us >= o->connected_us &&
                    (addr_is_any(&o->local) || addr_compare(&c[i].local, &o->local) == 0);
        if (fits && c[i].entered_us >= o->alive_us && (late < 0 || c[i].entered_us < c[late].entered_us))
            late = (int)i;
        if (fits && c[i].entered_us < o->alive_us && (early < 0 || c[i].entered_us > c[early].entered_us))
            early = (int)i;
    }
    return late >= 0 ? late : early;
}

START_TEST(of_any_the_same_are_chosen_as_by_looking_at_each) {
    enum { N = 40, ROUNDS = 1000 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct unmatched o[N];
        struct candidate c[N];
        for (unsigned i = 0; i < N; i++) { /* no two at the same time, and all further apart than what is let pass */
            unsigned connected = N - i;
            o[i] = unmatched(below(3), 8 + below(2), connected, connected + below(N));
            c[i] = candidate(1 + below(2), (uint16_t)(1000 + i), 8 + below(2), (i * 7 + round) % N + 0.5);
        }
        match_sockets(o, N, c, N);
        for (unsigned i = 0; i < N; i++)
            c[i].taken = false;
        for (unsigned i = 0; i < 2 * N; i++) { /* latest first; those whose address is known, before the others */
            const struct unmatched *one = &o[i % N];
            if (addr_is_any(&one->local) != (i >= N))
                continue;
            int want = best(one, c, N);
            ck_assert_int_eq(one->candidate, want);
            if (want >= 0)
                c[want].taken = true;
        }
    }
}
END_TEST

/* To look at each would be some 10^10 looks. */
START_TEST(hundreds_of_thousands_to_one_destination_are_matched) {
    enum { N = 300000 };
    static struct unmatched o[N];
    static struct candidate c[N];
    unsigned matched = 0;
    for (unsigned i = 0; i < N; i++) {
        o[i] = unmatched(i % 3, 9, 10 + i * 1e-4, 100);
        c[i] = candidate(1 + i % 2, (uint16_t)i, 9, 101 + i * 1e-5);
    }
    match_sockets(o, N, c, N);
    for (unsigned i = 0; i < N; i++)
        matched += o[i].candidate != NO_CANDIDATE;
    ck_assert_uint_eq(matched, N);
}
END_TEST

/* --- who is dead --- */

enum { TICKS = 100 };

static const char *stat_line(const char *name, char state, int threads, unsigned start) {
    static char line[256];
    snprintf(line, sizeof line,
             "77 (%s) %c 1 77 77 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 %d 0 %u 1000000 500 18446744073709551615 0", name,
             state, threads, start);
    return line;
}

static const struct {
    const char *name;
    char state;
    int threads;
    unsigned start; /* ticks */
    uint64_t noted_ns;
    bool lives;
} owners[] = {
    {"client", 'S', 1, 500, 6000000000, true},    {"client", 'R', 9, 500, 6000000000, true},
    {"client", 'T', 1, 500, 6000000000, true},    {"client", 'Z', 1, 500, 6000000000, false},
    {"client", 'X', 1, 500, 6000000000, false},   {"client", 'Z', 2, 500, 6000000000, true}, /* its threads go on */
    {"a) Z 1 (b", 'S', 1, 500, 6000000000, true}, {") Z", 'Z', 1, 500, 6000000000, false},
    {"client", 'S', 1, 602, 6000000000, true},                                       /* within the tolerance */
    {"client", 'S', 1, 603, 6000000000, false},   {"client", 'S', 1, 9999, 0, true}, /* not noted yet */
};

START_TEST(a_line_of_proc_tells_whether_the_owner_lives) {
    const char *line = stat_line(owners[_i].name, owners[_i].state, owners[_i].threads, owners[_i].start);
    ck_assert_msg(owner_stat_lives(line, TICKS, owners[_i].noted_ns) == owners[_i].lives, "%s", line);
}
END_TEST

START_TEST(a_line_that_is_none_is_in_doubt) {
    ck_assert(owner_stat_lives("", TICKS, 1));
    ck_assert(owner_stat_lives("1 (x", TICKS, 1));
    ck_assert(owner_stat_lives("1 (x) Z", TICKS, 1));
    ck_assert(owner_stat_lives(stat_line("x", 'Z', 1, 1), 0, 1));
}
END_TEST

START_TEST(we_live_and_nobody_does_not) {
    ck_assert(owner_lives((uint32_t)getpid(), 0));
    ck_assert(!owner_lives((uint32_t)getpid(), 1)); /* noted in the first nanosecond after boot */
    ck_assert(!owner_lives(0, 0));
    ck_assert(!owner_lives(UINT32_MAX, 0));
}
END_TEST

/* --- whose mapping --- */

START_TEST(a_line_of_maps_names_its_file) {
    char file[64];
    const char *line = "7f00aa000000-7f00aa001000 rw-s 00000000 00:19 4711                       /run/x y.state\n";
    ck_assert(maps_line_file(line, 0x7f00aa000000, file));
    ck_assert_str_eq(file, "00:19 4711");
    ck_assert(!maps_line_file(line, 0x7f00aa001000, file));
    ck_assert(!maps_line_file("7f00aa000000-7f00aa001000 rw-p 00000000 00:00 0 \n", 0x7f00aa000000, file));
    ck_assert(!maps_line_file("nonsense", 0, file));
}
END_TEST

/* As under qemu-user, which is the exe of the tool and of each client. */
START_TEST(a_process_of_the_tools_file_is_the_tool_by_its_name) {
    int ready[2], end[2];
    char pid[16], byte = 0;
    ck_assert(pipe(ready) == 0 && pipe(end) == 0);
    for (int renamed = 0; renamed < 2; renamed++) {
        pid_t child = fork();
        if (child == 0) {
            if (renamed)
                prctl(PR_SET_NAME, "client");
            (void)!write(ready[1], "x", 1);
            _exit((int)read(end[0], &byte, 1));
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        snprintf(pid, sizeof pid, "%d", (int)child);
        ck_assert_int_eq(is_tool(pid), !renamed);
        ck_assert_int_eq(write(end[1], "x", 1), 1);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
    }
}
END_TEST

/* A connection that began so long ago, and an event of it at that time. */
static struct reaped begun(uint64_t ns_ago, struct event_record *r) {
    struct reaped l = {.entry = {.word = OPEN_NOW, .local = v4(1), .peer = v4(2), .local_port = 4000, .peer_port = 80}};
    l.entry.connected_ns = clock_ns(CLOCK_REALTIME) - ns_ago;
    l.alive_us = l.entry.connected_ns / 1000;
    *r = (struct event_record){
        .e = {.local = v4(1), .peer = v4(2), .local_port = 4000, .peer_port = 80, .time_us = l.alive_us}};
    return l;
}

/* Is it recorded? So is not another, from the next port. */
static bool recorded_alone(struct reaped *l, const struct state *state) {
    reaped_judge(l, 1, state);
    bool recorded = l->recorded;
    l->recorded = false;
    l->entry.local_port++;
    reaped_judge(l, 1, state);
    ck_assert(!l->recorded);
    return recorded;
}

/* Of two processes that held one connection one is recorded; they noted its begin by clocks of different fineness. */
START_TEST(an_end_that_was_told_a_little_before_the_begin_is_the_same_one) {
    static const int early_ms[] = {0, 4, 200};
    struct state state;
    struct event_record r;
    ck_assert(state_private(&state, "test"));
    struct reaped l = begun(0, &r);
    r.e.kind = EVENT_TIME_WAIT;
    r.e.time_us -= (uint64_t)early_ms[_i] * 1000;
    ck_assert(ring_write(&state, &r));
    ck_assert_int_eq(recorded_alone(&l, &state), early_ms[_i] < 100);
    state_unmap(&state);
}
END_TEST

/* A reaper that died wrote the event, and freed no entry: the next tells nothing of that connection, but of another. */
START_TEST(an_end_that_a_dead_reaper_told_is_not_told_again) {
    static const uint8_t kinds[] = {EVENT_TIME_WAIT, EVENT_CLOSE};
    struct state state;
    struct event_record r;
    ck_assert(state_private(&state, "test"));
    struct reaped l = begun(5000000000u, &r);
    l.pid = r.e.pid = 77;
    l.second_hand = true;
    r.e.kind = kinds[_i];
    r.e.via = VIA_KILLED;
    r.e.age_us = 3000000;
    r.e.time_us += r.e.age_us;
    ck_assert(ring_write(&state, &r));
    ck_assert(recorded_alone(&l, &state));
    state_unmap(&state);
}
END_TEST

/* --- what became of it --- */

/* A connection over loopback: its tuple; the descriptors of both ends. */
static struct tuple connection(int fd[2]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, b;
    socklen_t size = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&a, &size), 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd[0], (struct sockaddr *)&a, size), 0);
    ck_assert_int_eq(getsockname(fd[0], (struct sockaddr *)&b, &size), 0);
    ck_assert_int_ge(fd[1] = accept(listener, NULL, NULL), 0);
    (void)close(listener);
    const struct addr loopback = addr_from_v4(INADDR_LOOPBACK);
    return tuple_of(&loopback, ntohs(b.sin_port), &loopback, ntohs(a.sin_port));
}

static struct reaped killed(const struct tuple *t, uint64_t now_ns) {
    return (struct reaped){.entry = {.local = t->local.addr,
                                     .local_port = t->local.port,
                                     .peer = t->peer.addr,
                                     .peer_port = t->peer.port,
                                     .connected_ns = now_ns - 1000000000,
                                     .word = OPEN_NOW},
                           .ask = true,
                           .alive_us = now_ns / 1000};
}

/* Few are asked about one by one, many are looked for in a dump: the ends are the same. */
START_TEST(an_end_is_the_same_among_few_and_among_very_many) {
    enum { OPEN, ENDED, HALF, REST };
    static const unsigned numbers[] = {REST + 1, 1 << 17};
    unsigned n = numbers[_i];
    struct reaped *l = calloc(n, sizeof *l);
    struct state state;
    int fd[REST][2] = {{0}};
    uint64_t now_ns = clock_ns(CLOCK_REALTIME);
    ck_assert(l && state_private(&state, "test"));
    for (unsigned i = 0; i < n; i++) {
        const struct addr local = v4(1 + i / 60000), peer = v4(99);
        struct tuple t = i < REST ? connection(fd[i]) : tuple_of(&local, (uint16_t)(1024 + i % 60000), &peer, 80);
        l[i] = killed(&t, now_ns);
    }
    for (unsigned i = ENDED; i < REST; i++)
        (void)close(fd[i][0]);
    (void)close(fd[ENDED][1]);
    reaped_judge(l, n, &state);
    for (unsigned i = 0; i < n; i++) {
        enum fate want = i == OPEN ? FATE_SHARED : i < REST ? FATE_TIME_WAIT : FATE_NONE;
        ck_assert_msg(l[i].fate == want && l[i].verified == VERIFIED_TRUE, "%u: %u", i, l[i].fate);
    }
    (void)close(fd[OPEN][0]);
    (void)close(fd[OPEN][1]);
    (void)close(fd[HALF][1]);
    free(l);
    state_unmap(&state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reaper");
    TCase *tc = tcase_create("match");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, nothing_matches_nothing);
    tcase_add_test(tc, address_destination_and_port_must_agree);
    tcase_add_test(tc, an_unknown_address_matches_any);
    tcase_add_test(tc, a_known_address_is_served_before_an_unknown_one);
    tcase_add_test(tc, what_was_there_before_the_connect_is_not_it);
    tcase_add_test(tc, the_first_after_the_last_sign_of_life_is_taken);
    tcase_add_test(tc, without_one_after_it_the_youngest_before_it_is_taken);
    tcase_add_test(tc, each_candidate_is_given_once_and_all_are);
    tcase_add_test(tc, too_few_go_to_as_many_as_there_are);
    tcase_add_test(tc, the_one_connected_last_does_not_go_without);
    tcase_add_test(tc, of_any_the_same_are_chosen_as_by_looking_at_each);
    tcase_add_test(tc, hundreds_of_thousands_to_one_destination_are_matched);
    tcase_add_loop_test(tc, a_line_of_proc_tells_whether_the_owner_lives, 0, sizeof owners / sizeof *owners);
    tcase_add_test(tc, a_line_that_is_none_is_in_doubt);
    tcase_add_test(tc, we_live_and_nobody_does_not);
    tcase_add_test(tc, a_line_of_maps_names_its_file);
    tcase_add_test(tc, a_process_of_the_tools_file_is_the_tool_by_its_name);
    tcase_add_loop_test(tc, an_end_that_was_told_a_little_before_the_begin_is_the_same_one, 0, 3);
    tcase_add_loop_test(tc, an_end_that_a_dead_reaper_told_is_not_told_again, 0, 2);
    tcase_add_loop_test(tc, an_end_is_the_same_among_few_and_among_very_many, 0, 2);
    suite_add_tcase(suite, tc);
    return run(suite);
}
