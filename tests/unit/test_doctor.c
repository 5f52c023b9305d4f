/* What `connspread doctor` makes of facts: each finding, and the reading of counters. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tool/doctor/findings.h"
#include "suite.h"
#include "tool/doctor/gather.h"
#include "tool/doctor/judge.h"
#include "tool/doctor/blame.h"
#include "tool/doctor/facts.h"
#include "tool/doctor/preloads.h"
#include "tool/host/wrapper.h"

static struct host_facts facts;
static struct findings found;

/* A host with nothing to find. */
static void set_up(void) {
    memset(&facts, 0, sizeof facts);
    facts = (struct host_facts){.ports_known = true,
                                .reuse = {2, 1000, 1, FACT_UNKNOWN},
                                .max_tw_buckets = 131072,
                                .fin_timeout = 60,
                                .tw_recycle = FACT_UNKNOWN,
                                .time_waits = 10,
                                .conntrack_count = FACT_UNKNOWN,
                                .conntrack_max = FACT_UNKNOWN,
                                .conntrack_insert_failed = FACT_UNKNOWN,
                                .conntrack_drop = FACT_UNKNOWN,
                                .conntrack_early_drop = FACT_UNKNOWN,
                                .pairs_known = true,
                                .capacity = 28232,
                                .ipv6 = IPV6_WORKS,
                                .held = {.known = true},
                                .fullest_source = "10.0.0.1",
                                .fullest_destination = "10.1.0.1:80"};
    for (unsigned i = 0; i < FEATURES; i++)
        facts.feature[i] = true;
    ck_assert(host_ports_parse(&facts.ports, "32768\t60999\n", "\n"));
}

static const struct finding *finding(const char *name) {
    for (unsigned i = 0; i < found.n; i++)
        if (strcmp(found.finding[i].name, name) == 0)
            return &found.finding[i];
    return NULL;
}

static void judge(void) {
    memset(&found, 0, sizeof found);
    doctor_judge_program(&facts, &found);
    doctor_judge_preloads(&facts, &found);
    doctor_judge(&facts, &found);
    ck_assert_uint_lt(found.n, FINDINGS);
    for (unsigned i = 0; i < found.n; i++) {
        const struct finding *f = &found.finding[i];
        ck_assert_msg(f->reason[0] && f->reason[strlen(f->reason) - 1] == '.', "%s: a sentence: %s", f->name,
                      f->reason);
        ck_assert_msg((f->severity == SEVERITY_OK) == (f->remedy[0] == 0), "%s: remedy: %s", f->name, f->remedy);
        ck_assert_ptr_null(strstr(f->remedy, "tcp_tw_recycle=1"));
        ck_assert_ptr_eq(finding(f->name), f); /* each once */
    }
}

/* Its severity, and words of the reason and of the remedy (NULL: no matter which). */
static void expect(const char *name, enum severity severity, const char *reason, const char *remedy) {
    judge();
    const struct finding *f = finding(name);
    ck_assert_msg(f != NULL, "%s is found", name);
    ck_assert_msg(f->severity == severity, "%s: severity %d: %s", name, f->severity, f->reason);
    ck_assert_msg(!reason || strstr(f->reason, reason), "%s: \"%s\" is not in: %s", name, reason, f->reason);
    ck_assert_msg(!remedy || strstr(f->remedy, remedy), "%s: \"%s\" is not in: %s", name, remedy, f->remedy);
}

static void expect_none(const char *name) {
    judge();
    ck_assert_msg(finding(name) == NULL, "%s is not found", name);
}

static void set_ports(const char *range, const char *reserved) {
    ck_assert(host_ports_parse(&facts.ports, range, reserved));
}

START_TEST(other_preloads_are_listed_in_their_order) {
    expect("preloads", SEVERITY_OK, "No other library", NULL);
    expect_none("preloads-missing");
    doctor_note_preloads(&facts, "/bin/sh:libjemalloc.so.2 /x/libconnspread.so",
                         "# of the host\n/bin/ls  /nowhere/$LIB/b.so\n");
    expect("preloads", SEVERITY_OK,
           "/bin/sh, libjemalloc.so.2, /x/libconnspread.so, /bin/ls (/etc/ld.so.preload), /nowhere/$LIB/b.so", NULL);
    ck_assert_uint_eq(facts.n_preloads, 4);
    expect("preloads-missing", SEVERITY_WARNING, "read: /x/libconnspread.so;", "LD_PRELOAD");
}
END_TEST

START_TEST(a_wrapper_that_overwrites_is_an_error) {
    facts.has_program = true;
    strcpy(facts.program, "/usr/bin/mptcpize");
    expect_none("program-wrapper");
    facts.overwrites = true;
    expect("program-wrapper", SEVERITY_ERROR, "/usr/bin/mptcpize puts", "mptcpize ... connspread run");
}
END_TEST

START_TEST(wrappers_that_overwrite_are_told_from_those_that_keep) {
    static const struct {
        const char *text;
        bool overwrites;
    } script[] = {
        {"#!/bin/sh\nLD_PRELOAD=/usr/lib/libjemalloc.so.2\nexport LD_PRELOAD\n", true},
        {"#!/bin/sh\nexport LD_PRELOAD=\"$LIB\" \nexec \"$@\"", true},
        {"#!/bin/sh\nadd_env=\"LD_PRELOAD=$so\"\n", true},
        {"#!/bin/sh\nexport LD_PRELOAD=$LIB:$LD_PRELOAD\n", false},
        {"#!/bin/sh\nLD_PRELOAD=\"$LIB${LD_PRELOAD:+:$LD_PRELOAD}\" \"$@\"\n", false},
        {"#!/bin/sh\n[ -z \"$LD_PRELOAD\" ] || LIB=$LIB:$LD_PRELOAD\nLD_PRELOAD=$LIB \"$@\"\n", false},
        {"#!/bin/sh\nLD_PRELOAD= exec ls\nLD_PRELOAD=\"\" exec ls\n", false},
        {"#!/bin/sh\n# LD_PRELOAD=/a.so\nMY_LD_PRELOAD=/a.so\n", false},
        {"#!/bin/sh\nunset LD_PRELOAD\nLD_PRELOAD", false},
    };
    static const char keeps[] = "x\0LD_PRELOAD\0%s=%s:%s", puts_own[] = "x\0LD_PRELOAD=/usr/lib/libmptcpwrap.so.0";
    for (size_t i = 0; i < sizeof script / sizeof *script; i++)
        ck_assert_msg(wrapper_script_overwrites(script[i].text, strlen(script[i].text)) == script[i].overwrites, "%s",
                      script[i].text);
    ck_assert(!wrapper_program_overwrites(keeps, sizeof keeps));
    ck_assert(wrapper_program_overwrites(puts_own, sizeof puts_own));
    ck_assert(!wrapper_overwrites("/nonexistent"));
    ck_assert(!wrapper_overwrites("/bin/sh"));
}
END_TEST

START_TEST(a_healthy_host_needs_nothing) {
    judge();
    for (unsigned i = 0; i < found.n; i++)
        ck_assert_msg(found.finding[i].severity == SEVERITY_OK, "%s", found.finding[i].name);
    ck_assert_uint_gt(found.n, 15);
}
END_TEST

START_TEST(port_range) {
    expect("port-range", SEVERITY_OK, "28232 connections", NULL);
    expect("port-range", SEVERITY_OK, "470.5 new ones a second", NULL);
    set_ports("40000\t59999\n", "\n");
    expect("port-range", SEVERITY_WARNING, "20000 connections", "1024 65535");
    set_ports("40000\t40999\n", "\n");
    expect("port-range", SEVERITY_ERROR, "16.7 new ones", "1024 65535");
    set_ports("32768\t60999\n", "32768-60000\n");
    expect("port-range", SEVERITY_ERROR, "999 connections", "Reserve fewer");
    expect("reserved-ports", SEVERITY_ERROR, "27233 of the 28232", NULL);
    facts.ports_known = false;
    expect("port-range", SEVERITY_UNKNOWN, NULL, "/proc");
}
END_TEST

START_TEST(parity) {
    expect_none("port-range-parity");
    set_ports("32768\t61000\n", "\n");
    expect("port-range-parity", SEVERITY_WARNING, "are even", "32768 60999");
    set_ports("32769\t60999\n", "\n");
    expect("port-range-parity", SEVERITY_WARNING, "are odd", "32769 60998");
    set_ports("40000\t40000\n", "\n");
    expect_none("port-range-parity");
}
END_TEST

START_TEST(reserved_ports) {
    set_ports("32768\t60999\n", "8080,40000-40009\n");
    expect("reserved-ports", SEVERITY_OK, "takes 10 of", NULL);
}
END_TEST

START_TEST(occupancy) {
    expect("occupancy", SEVERITY_OK, "No outbound", NULL);
    facts.fullest_taken = 1000;
    facts.fullest_percent = 3.5;
    expect("occupancy", SEVERITY_OK, "10.0.0.1 to 10.1.0.1:80: 3.5 %", NULL);
    facts.fullest_percent = 50;
    facts.fullest_time_waits = 600;
    expect("occupancy", SEVERITY_WARNING, "20 times as long", "use them again");
    facts.fullest_percent = 90;
    expect("occupancy", SEVERITY_ERROR, "EADDRNOTAVAIL", "more source");
    facts.fullest_time_waits = 100;
    expect("occupancy", SEVERITY_ERROR, "EADDRNOTAVAIL", "forgets to close");
    facts.fullest_fin_waits = 800;
    expect("occupancy", SEVERITY_ERROR, "EADDRNOTAVAIL", "Have the server close");
    facts.fullest_fin_waits = 0;
    facts.fullest_close_waits = 800;
    expect("occupancy", SEVERITY_ERROR, "EADDRNOTAVAIL", "Have the client close");
    facts.pairs_known = false;
    expect("occupancy", SEVERITY_UNKNOWN, "sock_diag", NULL);
}
END_TEST

START_TEST(reuse_of_time_waits) {
    expect("tcp-tw-reuse", SEVERITY_OK, "loopback only", NULL);
    facts.reuse.mode = 0;
    expect("tcp-tw-reuse", SEVERITY_OK, "never", NULL);
    facts.fullest_taken = 20000;
    facts.fullest_time_waits = 15000;
    facts.fullest_percent = 71;
    expect("tcp-tw-reuse", SEVERITY_WARNING, NULL, "After reuse of connections and more source addresses");
    expect("tcp-tw-reuse", SEVERITY_WARNING, NULL, "tcp_tw_reuse=1");
    facts.reuse.mode = 2;
    expect("tcp-tw-reuse", SEVERITY_WARNING, "loopback only", "sustains 28232 new connections a second");
    /* What is on is not advised: 2 is on for loopback; and without timestamps it would not help. */
    facts.fullest_loopback = true;
    expect("tcp-tw-reuse", SEVERITY_OK, "loopback only", NULL);
    facts.reuse.mode = 0;
    expect("tcp-tw-reuse", SEVERITY_WARNING, NULL, "tcp_tw_reuse=2");
    facts.fullest_loopback = false;
    facts.reuse.timestamps = 0;
    expect("tcp-tw-reuse", SEVERITY_OK, "never", NULL);
    facts.reuse.timestamps = 1;
    facts.reuse.mode = 1;
    expect("tcp-tw-reuse", SEVERITY_OK, "older than 1000 ms", NULL);
    facts.reuse.delay_ms = 60000;
    expect("tcp-tw-reuse", SEVERITY_WARNING, "which none ever is", "tcp_tw_reuse_delay=1000");
    facts.reuse.mode = FACT_UNKNOWN;
    expect("tcp-tw-reuse", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(what_can_be_reused_is_not_in_the_way) {
    facts.reuse.mode = 1;
    facts.fullest_taken = facts.fullest_time_waits = 28232;
    facts.fullest_percent = 100;
    expect("occupancy", SEVERITY_ERROR, "EADDRNOTAVAIL", "more source");
    facts.fullest_reusable = 20000;
    expect("occupancy", SEVERITY_OK, "of which connect() may take over 20000 now", NULL);
    expect("tcp-tw-reuse", SEVERITY_OK, "older than 1000 ms", NULL);
    facts.fullest_reusable = 10000;
    expect("occupancy", SEVERITY_WARNING, "20 times as long", "more source");
}
END_TEST

START_TEST(strides) {
    judge();
    ck_assert_ptr_null(finding("port-step-width"));
    facts.reuse.step_width = 0;
    expect("port-step-width", SEVERITY_OK, "usual steps", NULL);
    facts.reuse.step_width = 64;
    expect("port-step-width", SEVERITY_OK, "is 64: connect() goes through the ports by random strides", NULL);
}
END_TEST

START_TEST(timestamps) {
    facts.reuse.timestamps = 0;
    expect("tcp-timestamps", SEVERITY_ERROR, "no TIME-WAIT can be reused", "tcp_timestamps=1");
    facts.reuse.timestamps = FACT_UNKNOWN;
    expect("tcp-timestamps", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(recycling_is_never_recommended) {
    expect("tcp-tw-recycle", SEVERITY_OK, "behind a NAT", NULL);
    facts.tw_recycle = 0;
    expect("tcp-tw-recycle", SEVERITY_OK, "must never be used", NULL);
    facts.tw_recycle = 1;
    expect("tcp-tw-recycle", SEVERITY_ERROR, "is on", "tcp_tw_recycle=0");
}
END_TEST

START_TEST(time_wait_buckets) {
    expect("tw-buckets", SEVERITY_OK, "10 TIME-WAITs of at most 131072", NULL);
    expect("tw-buckets", SEVERITY_OK, "a FIN-WAIT-2 of a closed socket counts as one", NULL);
    facts.counter_overflow = 3;
    expect("tw-buckets", SEVERITY_WARNING, "3 times", "262144");
    facts.counter_overflow = 0;
    facts.time_waits = 100000;
    expect("tw-buckets", SEVERITY_WARNING, NULL, "262144");
    facts.time_waits = 131000;
    expect("tw-buckets", SEVERITY_ERROR, NULL, "tcp_max_tw_buckets=262144");
    facts.time_waits = FACT_UNKNOWN;
    expect("tw-buckets", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(fin_timeout) {
    expect("tcp-fin-timeout", SEVERITY_OK, "does not shorten TIME-WAIT", NULL);
    facts.fin_timeout = 10;
    expect("tcp-fin-timeout", SEVERITY_OK, "does not shorten TIME-WAIT", NULL);
    facts.fin_timeout = 120;
    expect("tcp-fin-timeout", SEVERITY_WARNING, "keeps its quadruplet", "tcp_fin_timeout=60");
    facts.fin_timeout = FACT_UNKNOWN;
    expect("tcp-fin-timeout", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(rfc1337) {
    expect("tcp-rfc1337", SEVERITY_OK, "may end a TIME-WAIT early", NULL);
    facts.rfc1337 = 1;
    expect("tcp-rfc1337", SEVERITY_OK, "does not end", NULL);
    facts.rfc1337 = FACT_UNKNOWN;
    expect("tcp-rfc1337", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(counters) {
    facts.counter_tw = 11;
    facts.counter_recycled = 12;
    facts.abort_data = 13;
    expect("tcp-counters", SEVERITY_OK, "TW 11 ", NULL);
    expect("tcp-counters", SEVERITY_OK, "TWRecycled 12 ", NULL);
    expect("tcp-counters", SEVERITY_OK, "TCPAbortOnData 13 ", NULL);
    facts.abort_memory = 1;
    expect("tcp-counters", SEVERITY_WARNING, "OnMemory 1 ", "tcp_max_orphans");
    facts.counter_tw = FACT_UNKNOWN;
    expect("tcp-counters", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(connection_tracking) {
    expect("conntrack", SEVERITY_OK, "No connection tracking", NULL);
    facts.conntrack_max = 1000;
    facts.conntrack_time_wait_s = 120;
    facts.conntrack_count = 100;
    expect("conntrack", SEVERITY_OK, "100 entries of at most 1000", NULL);
    expect("conntrack", SEVERITY_OK, "120 s", NULL);
    facts.conntrack_count = 750;
    expect("conntrack", SEVERITY_WARNING, NULL, "nf_conntrack_max=2000");
    facts.conntrack_count = 900;
    expect("conntrack", SEVERITY_ERROR, NULL, "notrack");
}
END_TEST

START_TEST(losses_of_connection_tracking) {
    expect_none("conntrack-losses");
    facts.conntrack_insert_failed = facts.conntrack_drop = facts.conntrack_early_drop = 0;
    expect_none("conntrack-losses");
    facts.conntrack_insert_failed = 1;
    expect("conntrack-losses", SEVERITY_WARNING, "insert_failed 1 ", "fully-random");
    facts.conntrack_insert_failed = 0;
    facts.conntrack_drop = 2;
    expect("conntrack-losses", SEVERITY_WARNING, "drop 2 ", "nf_conntrack_max");
    facts.conntrack_drop = 0;
    facts.conntrack_early_drop = 3;
    expect("conntrack-losses", SEVERITY_WARNING, "early_drop 3 ", NULL);
}
END_TEST

START_TEST(ipv6) {
    facts.ipv6 = IPV6_DISABLED;
    expect("ipv6", SEVERITY_WARNING, "EADDRNOTAVAIL", "disable_ipv6=0");
    facts.ipv6 = IPV6_ABSENT;
    expect("ipv6", SEVERITY_WARNING, "EAFNOSUPPORT", "IPv4");
    facts.ipv6 = IPV6_UNKNOWN;
    expect("ipv6", SEVERITY_UNKNOWN, NULL, NULL);
}
END_TEST

START_TEST(kernel_features) {
    static const struct {
        enum feature feature;
        const char *name;
        enum severity severity;
    } expected[] = {{FEATURE_NO_PORT, "kernel-no-port", SEVERITY_ERROR},
                    {FEATURE_PORT_RANGE, "kernel-port-range", SEVERITY_WARNING},
                    {FEATURE_NETNS, "kernel-netns-cookie", SEVERITY_WARNING},
                    {FEATURE_WIPE, "kernel-wipe-on-fork", SEVERITY_WARNING},
                    {FEATURE_SOCK_DIAG, "kernel-sock-diag", SEVERITY_ERROR}};
    for (unsigned i = 0; i < FEATURES; i++) {
        expect(expected[i].name, SEVERITY_OK, "works", NULL);
        facts.feature[expected[i].feature] = false;
        expect(expected[i].name, expected[i].severity, "does not work here", NULL);
    }
}
END_TEST

static void hold(struct holder *h, uint32_t pid, const char *name, uint32_t ports, const char *some) {
    *h = (struct holder){.pid = pid, .uid = 33, .ports = ports};
    (void)snprintf(h->name, sizeof h->name, "%s", name);
    (void)snprintf(h->some, sizeof h->some, "%s", some);
}

START_TEST(explicit_binds) {
    facts.held.blocked = 10;
    facts.held.n_binders = 2;
    hold(&facts.held.binder[0], 12, "hoard\033er", 9, "40000-40008");
    hold(&facts.held.binder[1], 0, "", 1, "40020");
    expect("explicit-binds", SEVERITY_WARNING,
           "hoard?er (pid 12): 9 ports, 40000-40008; a process of user 33: 1 port, 40020", "IP_BIND_ADDRESS_NO_PORT");
    facts.capacity = 200;
    expect("explicit-binds", SEVERITY_ERROR, "10 ephemeral ports of 200 are", NULL);
    facts.held.unseen = 1;
    expect("explicit-binds", SEVERITY_ERROR, "does not show", NULL);
    for (unsigned i = 0; i < HOLDERS; i++)
        hold(&facts.held.binder[i], 100000 + i, "a-name-of-15-ch", 9999,
             "40000-40008, 40010-40018, 40020-40028, 40030-4");
    facts.held.n_binders = HOLDERS;
    expect("explicit-binds", SEVERITY_ERROR, "every other process's connect()", NULL);
    facts.held.known = false;
    expect("explicit-binds", SEVERITY_UNKNOWN, "TCP_FASTOPEN_CONNECT", NULL);
    expect_none("listeners-in-range");
}
END_TEST

START_TEST(listeners_in_the_range) {
    facts.held.blocked = facts.held.listening = 1;
    facts.held.n_listeners = 1;
    hold(&facts.held.listener[0], 7, "redis-server", 1, "36379");
    expect("listeners-in-range", SEVERITY_WARNING, "redis-server (pid 7): 1 port, 36379", "ip_local_reserved_ports");
    expect("explicit-binds", SEVERITY_OK, NULL, NULL);
    facts.capacity = 10;
    expect("listeners-in-range", SEVERITY_ERROR, NULL, NULL);
}
END_TEST

START_TEST(time_waits_of_explicit_binds) {
    expect_none("explicit-time-waits");
    facts.held.blocked = facts.held.ended = 3;
    expect("explicit-time-waits", SEVERITY_WARNING, "3 ephemeral ports of 28232 are", "connspread log");
    expect("explicit-binds", SEVERITY_OK, NULL, NULL);
}
END_TEST

START_TEST(programs) {
    static const struct {
        enum preloadable why;
        enum severity severity;
        const char *reason, *remedy;
    } expected[] = {{PRELOAD_OK, SEVERITY_OK, "can be preloaded", NULL},
                    {PRELOAD_UNREADABLE, SEVERITY_UNKNOWN, "not known", NULL},
                    {PRELOAD_GO, SEVERITY_ERROR, "Go program", "LocalAddr"},
                    {PRELOAD_STATIC, SEVERITY_ERROR, "statically linked", "dynamically linked"},
                    {PRELOAD_SETUID, SEVERITY_ERROR, "setuid", "User="},
                    {PRELOAD_CAPABILITIES, SEVERITY_ERROR, "file capabilities", "AmbientCapabilities"},
                    {PRELOAD_OTHER_CLASS, SEVERITY_ERROR, "word size", "Build connspread"},
                    {PRELOAD_OTHER_MACHINE, SEVERITY_ERROR, "another processor", "Build connspread"},
                    {PRELOAD_OTHER_LIBC, SEVERITY_ERROR, "another C library", "Build connspread"}};
    expect_none("program");
    facts.has_program = true;
    strcpy(facts.program, "/usr/bin/client");
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        facts.preloadable = expected[i].why;
        expect("program", expected[i].severity, expected[i].reason, expected[i].remedy);
        expect("program", expected[i].severity, "/usr/bin/client ", NULL);
    }
    facts.preloadable = PRELOAD_OK;
    expect_none("program-supervise");
    expect_none("program-php");
    strcpy(facts.program, "/usr/sbin/php-fpm8.2");
    expect("program-php", SEVERITY_WARNING, "RTLD_DEEPBIND", "8.5");
}
END_TEST

START_TEST(supervising) {
    static const struct {
        struct trial trial;
        int64_t yama;
        enum severity severity;
        const char *reason, *remedy;
    } expected[] = {
        {{TRIAL_WORKS, 0}, 1, SEVERITY_OK, "can serve it", NULL},
        {{TRIAL_DESCRIPTORS, EPERM}, 2, SEVERITY_WARNING, "not permitted", "ptrace_scope = 1"},
        {{TRIAL_DESCRIPTORS, EPERM}, FACT_UNKNOWN, SEVERITY_WARNING, "not permitted", "pidfd_getfd"},
        {{TRIAL_FILTER, EBUSY}, 0, SEVERITY_WARNING, "busy", "There is one already"},
        {{TRIAL_FILTER, EINVAL}, 0, SEVERITY_WARNING, "Invalid argument", "5.9"},
        {{TRIAL_CLOSES, ENOENT}, 0, SEVERITY_WARNING, "cannot log its closes", "tcp_diag"},
    };
    facts.has_program = true;
    strcpy(facts.program, "/usr/bin/client");
    facts.preloadable = PRELOAD_GO;
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        facts.supervising = expected[i].trial;
        facts.yama = expected[i].yama;
        expect("program-supervise", expected[i].severity, expected[i].reason, expected[i].remedy);
    }
    facts.preloadable = PRELOAD_SETUID;
    expect_none("program-supervise");
}
END_TEST

START_TEST(counters_are_read_by_name) {
    static const char netstat[] = "TcpExt: SyncookiesSent TW TWRecycled TCPTimeWaitOverflow\n"
                                  "TcpExt: 0 16 17 18446744073\n"
                                  "IpExt: InNoRoutes TW\n"
                                  "IpExt: 1 99\n";
    ck_assert_int_eq(netstat_counter(netstat, "TW"), 16);
    ck_assert_int_eq(netstat_counter(netstat, "TWRecycled"), 17);
    ck_assert_int_eq(netstat_counter(netstat, "TCPTimeWaitOverflow"), 18446744073);
    ck_assert_int_eq(netstat_counter(netstat, "InNoRoutes"), FACT_UNKNOWN);
    ck_assert_int_eq(netstat_counter("", "TW"), FACT_UNKNOWN);
    ck_assert_int_eq(netstat_counter("TcpExt: TW\n", "TW"), FACT_UNKNOWN);
    ck_assert_int_eq(netstat_counter("TcpExt: A TW\nTcpExt: 1\n", "TW"), FACT_UNKNOWN);
}
END_TEST

START_TEST(connection_tracking_is_summed_over_processors) {
    static const char table[] =
        "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop\n"
        "00000005  00000000 00000000 0 0 0 0 0 0 0000000f 00000001\n"
        "00000005  00000000 00000000 0 0 0 0 0 0 00000001 00000000\n";
    ck_assert_int_eq(conntrack_column(table, "insert_failed"), 16);
    ck_assert_int_eq(conntrack_column(table, "drop"), 1);
    ck_assert_int_eq(conntrack_column(table, "early_drop"), FACT_UNKNOWN);
    ck_assert_int_eq(conntrack_column("", "drop"), FACT_UNKNOWN);
}
END_TEST

START_TEST(time_waits_are_read_from_sockstat) {
    ck_assert_int_eq(
        sockstat_time_waits("sockets: used 107\nTCP: inuse 3 orphan 0 tw 12 alloc 5 mem 1\nUDP: inuse 1\n"), 12);
    ck_assert_int_eq(sockstat_time_waits("TCP: inuse 3\n"), FACT_UNKNOWN);
    ck_assert_int_eq(sockstat_time_waits(""), FACT_UNKNOWN);
}
END_TEST

int main(void) {
    Suite *s = suite_create("doctor");
    TCase *t = tcase_create("findings");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, a_healthy_host_needs_nothing);
    tcase_add_test(t, other_preloads_are_listed_in_their_order);
    tcase_add_test(t, a_wrapper_that_overwrites_is_an_error);
    tcase_add_test(t, wrappers_that_overwrite_are_told_from_those_that_keep);
    tcase_add_test(t, port_range);
    tcase_add_test(t, parity);
    tcase_add_test(t, reserved_ports);
    tcase_add_test(t, occupancy);
    tcase_add_test(t, reuse_of_time_waits);
    tcase_add_test(t, what_can_be_reused_is_not_in_the_way);
    tcase_add_test(t, strides);
    tcase_add_test(t, timestamps);
    tcase_add_test(t, recycling_is_never_recommended);
    tcase_add_test(t, time_wait_buckets);
    tcase_add_test(t, fin_timeout);
    tcase_add_test(t, rfc1337);
    tcase_add_test(t, counters);
    tcase_add_test(t, connection_tracking);
    tcase_add_test(t, losses_of_connection_tracking);
    tcase_add_test(t, ipv6);
    tcase_add_test(t, kernel_features);
    tcase_add_test(t, explicit_binds);
    tcase_add_test(t, listeners_in_the_range);
    tcase_add_test(t, time_waits_of_explicit_binds);
    tcase_add_test(t, programs);
    tcase_add_test(t, supervising);
    tcase_add_test(t, counters_are_read_by_name);
    tcase_add_test(t, connection_tracking_is_summed_over_processors);
    tcase_add_test(t, time_waits_are_read_from_sockstat);
    suite_add_tcase(s, t);
    return run(s);
}
