#include "tool/doctor/gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/host/host.h"
#include "tool/host/socket_count.h"
#include "tool/common/text_file.h"
#include "text/parse.h"
#include "tool/doctor/facts.h"

/* FACT_UNKNOWN: not there, or no number. */
static int64_t number_in(const char *path) {
    char *text = text_file(path), *end = NULL;
    int64_t value = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text)
        value = FACT_UNKNOWN;
    free(text);
    return value;
}

static int64_t ipv4_sysctl(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    return number_in(path);
}

/* The n-th word of a line; its length, 0: there is none. */
static size_t nth_word(const char **line, unsigned n) {
    for (;; n--) {
        *line += strspn(*line, " \t");
        size_t length = strcspn(*line, " \t\n");
        if (length == 0 || n == 0)
            return length;
        *line += length;
    }
}

/* Which word of the line is name? -1: none. */
static int find_word(const char *line, const char *name) {
    for (int i = 0;; i++) {
        line += strspn(line, " \t");
        size_t length = strcspn(line, " \t\n");
        if (length == 0)
            return -1;
        if (length == strlen(name) && memcmp(line, name, length) == 0)
            return i;
        line += length;
    }
}

static const char *next_line(const char *text) {
    const char *end = strchr(text, '\n');
    return end ? end + 1 : text + strlen(text);
}

int64_t netstat_counter(const char *netstat, const char *name) {
    for (const char *names = netstat; *names; names = next_line(names)) {
        const char *values = next_line(names);
        int at = strncmp(names, "TcpExt:", 7) == 0 && strncmp(values, "TcpExt:", 7) == 0 ? find_word(names, name) : -1;
        if (at >= 0 && nth_word(&values, (unsigned)at) > 0)
            return strtoll(values, NULL, 10);
    }
    return FACT_UNKNOWN;
}

int64_t conntrack_column(const char *table, const char *name) {
    int at = find_word(table, name);
    int64_t sum = 0;
    if (at < 0)
        return FACT_UNKNOWN;
    for (const char *line = next_line(table); *line; line = next_line(line)) {
        const char *word = line;
        if (nth_word(&word, (unsigned)at) > 0)
            sum += (int64_t)strtoul(word, NULL, 16);
    }
    return sum;
}

int64_t sockstat_time_waits(const char *sockstat) {
    for (const char *line = sockstat; *line; line = next_line(line)) {
        int at = strncmp(line, "TCP:", 4) == 0 ? find_word(line, "tw") : -1;
        if (at >= 0 && nth_word(&line, (unsigned)at + 1) > 0)
            return strtoll(line, NULL, 10);
    }
    return FACT_UNKNOWN;
}

static void read_counters(struct host_facts *f) {
    char *text = text_file("/proc/net/netstat"), *sockstat = text_file("/proc/net/sockstat");
    const char *netstat = text ? text : "";
    f->counter_tw = netstat_counter(netstat, "TW");
    f->counter_recycled = netstat_counter(netstat, "TWRecycled");
    f->counter_overflow = netstat_counter(netstat, "TCPTimeWaitOverflow");
    f->abort_data = netstat_counter(netstat, "TCPAbortOnData");
    f->abort_close = netstat_counter(netstat, "TCPAbortOnClose");
    f->abort_memory = netstat_counter(netstat, "TCPAbortOnMemory");
    f->abort_timeout = netstat_counter(netstat, "TCPAbortOnTimeout");
    f->abort_linger = netstat_counter(netstat, "TCPAbortOnLinger");
    f->abort_failed = netstat_counter(netstat, "TCPAbortFailed");
    f->time_waits = sockstat_time_waits(sockstat ? sockstat : "");
    free(text);
    free(sockstat);
}

void doctor_read_sysctls(struct host_facts *f) {
    const char *what;
    f->ports_known = host_look_at_ports(&f->ports, &what);
    tw_reuse_look(&f->reuse);
    f->tw_recycle = ipv4_sysctl("tcp_tw_recycle");
    f->max_tw_buckets = ipv4_sysctl("tcp_max_tw_buckets");
    f->fin_timeout = ipv4_sysctl("tcp_fin_timeout");
    f->rfc1337 = ipv4_sysctl("tcp_rfc1337");
    read_counters(f);
}

void doctor_read_conntrack(struct host_facts *f) {
    char *table = text_file("/proc/net/stat/nf_conntrack");
    f->conntrack_count = number_in("/proc/sys/net/netfilter/nf_conntrack_count");
    f->conntrack_max = number_in("/proc/sys/net/netfilter/nf_conntrack_max");
    f->conntrack_time_wait_s = number_in("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait");
    f->conntrack_insert_failed = conntrack_column(table ? table : "", "insert_failed");
    f->conntrack_drop = conntrack_column(table ? table : "", "drop");
    f->conntrack_early_drop = conntrack_column(table ? table : "", "early_drop");
    free(table);
}

static void note_fullest(struct host_facts *f, const struct quads_table *t) {
    const struct quads_pair *p = t->pair;
    if (t->n == 0)
        return;
    f->fullest_taken = quads_taken(p);
    f->fullest_time_waits = p->count[QUADS_TIME_WAIT];
    f->fullest_reusable = p->reusable;
    f->fullest_loopback = tw_reuse_is_loopback(&p->source, &p->destination);
    f->fullest_percent = quads_percent(p, f->capacity);
    struct socket_users users = {.source = p->source, .destination = p->destination, .port = p->port};
    if (socket_users_find(&users, 1) == 0)
        socket_users_text(&users, f->fullest_users);
    format_address(f->fullest_source, &p->source);
    format_endpoint(f->fullest_destination, &p->destination, p->port);
}

void doctor_look_at_sockets(struct host_facts *f) {
    struct quads_listeners *l = calloc(1, sizeof *l);
    struct quads_table t = {.ephemeral = f->ports.ephemeral, .reuse = f->reuse, .listeners = l};
    f->capacity = quads_capacity(&f->ports, false);
    f->pairs_known = l && quads_take(&t, l, NULL) == 0;
    if (f->pairs_known) {
        quads_sort(&t);
        note_fullest(f, &t);
    }
    quads_free(&t);
    if (l)
        quads_listeners_free(l);
    free(l);
}
