#include "connect/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "net/diag.h"
#include "net/ports.h"
#include "net/tally.h"
#include "client/client.h"
#include "client/sockinfo.h"
#include "state/history.h"
#include "state/pair.h"
#include "base/sys.h"
#include "state/pair_table.h"

/* Lookups at one counting, over all sources: 2.5 us each. */
enum { SCRATCH = 64 << 10, COUNT_EVERY_MS = 5000, LOOKUPS = 1024 };

bool evidence_source(const struct endpoint *destination, struct addr *out) {
    struct sockaddr_storage name;
    struct endpoint local;
    int family = addr_is_v4(&destination->addr) ? AF_INET : AF_INET6;
    socklen_t length = endpoint_to_sockaddr(&name, destination, family);
    memset(out, 0, sizeof *out);
    int fd = (int)sys_call3(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd != -EAFNOSUPPORT;
    long r = sys_call3(SYS_connect, fd, &name, length);
    if (r == 0 && sockinfo_local(fd, &local))
        *out = local.addr;
    (void)sys_call1(SYS_close, fd);
    return r != -EADDRNOTAVAIL;
}

/* The text of a file in /proc, as much as fits. */
static const char *read_text(const char *path, char *out, size_t size) {
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    long n = fd < 0 ? 0 : sys_call3(SYS_read, fd, out, size - 1);
    if (fd >= 0)
        (void)sys_call1(SYS_close, fd);
    out[n > 0 ? n : 0] = 0;
    return out;
}

static uint16_t narrow(uint32_t n) {
    return (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
}

/* Ports that a connect of one source can have: those inside the ephemeral range but the reserved ones, and those
 * outside that are bound explicitly. False: the host does not say. */
static bool weigh_ports(struct event_exhausted *x, const struct match *match, struct port_split *split, char *scratch) {
    struct port_range host;
    if (!ports_read_sysctl(read_text(PORTS_SYSCTL, scratch, SCRATCH), &host))
        return false;
    *split = (struct port_split){.n_inside = 1, .inside[0] = host};
    if (match && match->n_ports)
        ports_split(split, match->ports, match->n_ports, host);
    const char *list = read_text("/proc/sys/net/ipv4/ip_local_reserved_ports", scratch, SCRATCH);
    x->reserved = narrow(ports_reserved(list, split->inside, split->n_inside));
    x->capacity = narrow(ports_total(split) - x->reserved);
    return true;
}

/* A socket that its client bound to a port has one quadruplet to this destination: is it taken? */
static void look_at_quadruplet(struct report *r) {
    struct endpoint local;
    struct diag_answer answer;
    struct event *e = &r->record.e;
    if (!sockinfo_local(r->fd, &local) || local.port == 0)
        return;
    e->local_port = local.port;
    struct exhausted_source *one = &r->record.u.exhausted.source[0];
    r->record.u.exhausted.n_sources = 1;
    r->record.u.exhausted.n_endpoints = 0;
    r->record.u.exhausted.capacity = 1;
    *one = (struct exhausted_source){
        .address = local.addr,
        .ports = {local.port, local.port},
        .cause = CAUSE_PORT_BUSY,
        .error = EADDRNOTAVAIL,
    };
    if (addr_is_any(&one->address))
        (void)evidence_source(r->destination, &one->address);
    e->local = one->address;
    struct tuple tuple = tuple_of(&one->address, local.port, &e->peer, e->peer_port);
    int found = diag_lookup(&tuple, &answer);
    if (found == 0)
        one->kernel[tally_group(answer.state)] = 1;
    one->counted = found == 0 || found == -ENOENT ? COUNTED_ALL : COUNTED_NO;
}

static void count_source(struct exhausted_source *one, const struct tally *t) {
    one->counted = (uint8_t)t->counted;
    for (unsigned g = 0; g < KERNEL_GROUPS; g++)
        one->kernel[g] = narrow(t->count[g]);
}

/* What is taken though no connection is there has been bound by a process. Of several sources the one that shows least:
 * a port that is bound is bound for all. */
static void count_sockets(struct report *r, const struct port_split *split) {
    struct event_exhausted *x = &r->record.u.exhausted;
    uint32_t bound = x->capacity;
    int netlink = x->n_sources ? diag_open() : -1;
    if (netlink < 0)
        return;
    bool answers = diag_answers(netlink) == 1;
    for (unsigned i = 0; i < x->n_sources && answers; i++) {
        struct exhausted_source *one = &x->source[i];
        struct tally t = tally_source(netlink, &one->address, r->destination, split, (unsigned)LOOKUPS / x->n_sources);
        uint32_t taken = 0;
        count_source(one, &t);
        for (unsigned g = 0; g < KERNEL_GROUPS; g++)
            taken += t.count[g];
        if (one->cause == CAUSE_RANGE_FULL && t.counted != COUNTED_NO) {
            uint32_t rest = taken < x->capacity ? x->capacity - taken : 0;
            bound = rest < bound ? rest : bound;
            x->bound_counted = (uint8_t)t.counted;
        }
    }
    if (x->bound_counted != COUNTED_NO)
        x->bound = narrow(bound);
    (void)sys_call1(SYS_close, netlink);
}

/* One process of the instance counts, for all that fail at the same time. Not after setns or unshare: our netlink
 * socket would be in the thread's namespace, and the client's may be in another. */
static bool may_count(const struct report *r, uint64_t now) {
    static const struct addr no_source = {.b = {0xff}};
    uint64_t key = pair_key_other(pair_key(r->record.e.netns, &no_source, r->destination));
    return !__atomic_load_n(&r->client->netns_varies, __ATOMIC_RELAXED) &&
           pair_turn(pair_find(&r->client->state, key, true, now), now, COUNT_EVERY_MS);
}

static void remember(struct report *r, uint64_t now) {
    struct event_exhausted *x = &r->record.u.exhausted;
    struct history_counts recent;
    struct history_flow f = {.netns = r->record.e.netns, .destination = r->destination, .program = r->client->program};
    history_recent(&r->client->state, &f, history_minute(now), &recent);
    x->recent_s = (uint16_t)(60 + clock_ns(CLOCK_REALTIME) / 1000000000u % 60);
    x->recent_connects = (uint32_t)recent.connects;
    x->recent_time_waits = (uint32_t)recent.count[HISTORY_TIME_WAITS];
}

void evidence_gather(struct report *r, uint64_t now) {
    struct event_exhausted *x = &r->record.u.exhausted;
    struct port_split split;
    if (x->call != CALL_CONNECT)
        return;
    remember(r, now);
    if (x->outcome == OUTCOME_RECOVERED)
        return;
    char *scratch = sys_mmap(SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!scratch)
        return;
    for (unsigned i = 0; i < x->n_sources; i++)
        if (addr_is_any(&x->source[i].address))
            (void)evidence_source(r->destination, &x->source[i].address);
    bool weighed = weigh_ports(x, r->match, &split, scratch);
    (void)sys_call2(SYS_munmap, scratch, SCRATCH);
    if (x->cause == CAUSE_PORT_BUSY)
        look_at_quadruplet(r);
    else if (x->cause == CAUSE_RANGE_FULL && weighed && may_count(r, now))
        count_sockets(r, &split);
}
