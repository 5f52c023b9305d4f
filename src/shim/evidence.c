#include "shim/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "net/diag.h"
#include "net/ports.h"
#include "net/tally.h"
#include "shim/client.h"
#include "shim/explicit.h"
#include "shim/look.h"
#include "state/history.h"
#include "state/pair.h"
#include "state/sys.h"

enum { SCRATCH = 64 << 10, COUNT_EVERY_MS = 5000, COUNT_CPU_NS = 10000000 /* for each of two counts */ };

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
    if (r == 0 && look_local(fd, &local))
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

static uint32_t size_of(struct port_range range) {
    return range.high >= range.low ? (uint32_t)range.high - range.low + 1 : 0;
}

static uint16_t narrow(uint32_t n) {
    return (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
}

/* Ports that a connect of one source can have: those inside the ephemeral range but the reserved ones, and those
 * outside that are bound explicitly. */
static void weigh_ports(struct event_exhausted *x, const struct plan *plan, char *scratch) {
    struct port_range host = host_ports(true);
    struct port_split split = {.n_inside = 1, .inside[0] = host};
    uint32_t inside = 0;
    if (plan && plan->n_ports)
        ports_split(&split, plan->ports, plan->n_ports, host);
    for (unsigned i = 0; i < split.n_inside; i++)
        inside += size_of(split.inside[i]);
    const char *list = read_text("/proc/sys/net/ipv4/ip_local_reserved_ports", scratch, SCRATCH);
    uint32_t reserved = ports_reserved(list, split.inside, split.n_inside);
    x->reserved = narrow(reserved);
    x->capacity = narrow(inside - (reserved < inside ? reserved : inside) + split.outside_total);
}

/* A socket that its client bound to a port has one quadruplet to this destination: is it taken? */
static void look_at_quadruplet(struct report *r) {
    struct endpoint local;
    struct diag_answer answer;
    struct event *e = &r->record.e;
    if (!look_local(r->fd, &local) || local.port == 0)
        return;
    e->local_port = local.port;
    struct exhausted_source *one = &r->record.u.exhausted.source[0];
    r->record.u.exhausted.n_sources = 1;
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
    int found = diag_lookup(&one->address, local.port, &e->peer, e->peer_port, &answer);
    if (found == 0)
        one->kernel[tally_group(answer.state)] = 1;
    one->counted = found == 0 || found == -ENOENT ? COUNTED_ALL : COUNTED_NO;
}

static void count_sockets(struct report *r, char *scratch) {
    struct event_exhausted *x = &r->record.u.exhausted;
    struct tally tally[EXHAUSTED_SOURCES] = {0};
    struct port_range range = r->plan && r->plan->n_ports ? r->plan->ports[0] : host_ports(false);
    uint32_t bound = 0;
    for (unsigned i = 0; i < x->n_sources; i++)
        tally[i].source = x->source[i].address;
    enum counted counted = tally_destination(r->destination, tally, x->n_sources, scratch, SCRATCH, COUNT_CPU_NS);
    for (unsigned i = 0; i < x->n_sources; i++) {
        x->source[i].counted = (uint8_t)counted;
        for (unsigned g = 0; g < KERNEL_GROUPS; g++)
            x->source[i].kernel[g] = narrow(tally[i].count[g]);
    }
    x->bound_counted = (uint8_t)tally_bound(range.low, range.high, &bound, scratch, SCRATCH, COUNT_CPU_NS);
    x->bound = narrow(bound);
}

/* One process of the instance counts, for all that fail at the same time. Not after setns or unshare: our netlink
 * socket would be in the thread's namespace, and the client's may be in another. */
static bool may_count(const struct report *r, uint64_t now) {
    static const struct addr nobody = {.b = {0xff}};
    uint64_t key = ~pair_key(r->record.e.netns, &nobody, r->destination);
    return !__atomic_load_n(&client.netns_varies, __ATOMIC_RELAXED) &&
           pair_turn(pair_find(&client.state, key, true, now), now, COUNT_EVERY_MS);
}

static void remember(struct report *r, uint64_t now) {
    struct event_exhausted *x = &r->record.u.exhausted;
    struct history_counts recent;
    struct history_flow f = {.netns = r->record.e.netns, .destination = r->destination, .program = client.program};
    history_recent(&client.state, &f, history_minute(now), &recent);
    x->recent_s = (uint16_t)(60 + clock_ns(CLOCK_REALTIME) / 1000000000u % 60);
    x->recent_connects = (uint32_t)recent.connects;
    x->recent_time_waits = (uint32_t)recent.count[HISTORY_TIME_WAITS];
}

void evidence_gather(struct report *r, uint64_t now) {
    struct event_exhausted *x = &r->record.u.exhausted;
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
    weigh_ports(x, r->plan, scratch);
    if (x->cause == CAUSE_PORT_BUSY)
        look_at_quadruplet(r);
    else if (may_count(r, now))
        count_sockets(r, scratch);
    (void)sys_call2(SYS_munmap, scratch, SCRATCH);
}
