#include "tool/doctor/gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/host/counters.h"
#include "tool/host/host.h"
#include "tool/host/socket_count.h"
#include "tool/common/text_file.h"
#include "text/parse.h"
#include "tool/doctor/facts.h"

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
    f->yama = number_in("/proc/sys/kernel/yama/ptrace_scope");
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
    f->fullest_fin_waits = p->count[QUADS_FIN_WAIT];
    f->fullest_close_waits = p->close_wait;
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
