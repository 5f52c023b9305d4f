#include "tool/check/missing.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/policy.h"
#include "text/parse.h"
#include "tool/host/host.h"

enum { PROBES = 1024 };

uint32_t missing_probes(const struct policy_source *source) {
    return source->count < PROBES ? source->count : PROBES;
}

bool missing_at(const struct policy_source *source, const struct host *h, uint32_t n, struct addr *a) {
    enum addr_scope scope = addr_scope(&source->first);
    *a = policy_source_at(source, n);
    return scope != SCOPE_V4_LOOPBACK && !host_can_bind(h, a, scope == SCOPE_V6_LINK ? source->interface : 0);
}

uint32_t missing_of(const struct policy_source *source, const struct host *h) {
    struct addr a;
    uint32_t n = 0;
    for (uint32_t i = 0; i < missing_probes(source); i++)
        n += missing_at(source, h, i, &a);
    return n;
}

static bool read_addr(const struct sockaddr *sockaddr, struct addr *out) {
    struct endpoint e;
    size_t length = !sockaddr                        ? 0
                    : sockaddr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                     : sizeof(struct sockaddr_in6);
    if (!length || !endpoint_from_sockaddr(&e, sockaddr, length))
        return false;
    *out = e.addr;
    return true;
}

/* In the network of that address? A host's mask, as loopback addresses have, makes no network. */
static bool same_network(const struct ifaddrs *i, const struct addr *a) {
    struct addr have, mask;
    if (!read_addr(i->ifa_addr, &have) || !read_addr(i->ifa_netmask, &mask) || addr_is_v4(&have) != addr_is_v4(a))
        return false;
    for (unsigned b = addr_is_v4(a) ? 12 : 0; b < 16; b++)
        if ((have.b[b] ^ a->b[b]) & mask.b[b])
            return false;
    return true;
}

static bool in_pool(const struct policy *p, const struct policy_pool *pool, const struct ifaddrs *i) {
    struct addr have;
    if (!read_addr(i->ifa_addr, &have))
        return false;
    struct policy_span span = pool_sources(p, pool, addr_scope(&have));
    for (unsigned n = 0; n < span.count; n++)
        if (source_has(&p->source[span.first + n], &have))
            return true;
    return false;
}

static bool has_outside_address(const struct ifaddrs *i) {
    struct addr have;
    return !(i->ifa_flags & IFF_LOOPBACK) && read_addr(i->ifa_addr, &have) && addr_scope(&have) != SCOPE_V6_LINK;
}

/* The better the later: any but lo, one with an address of the pool, one with the network. */
static const char *device_for(const struct policy *p, const struct policy_pool *pool, const struct ifaddrs *all,
                              const struct addr *a) {
    const char *device = "DEVICE";
    int best = 0;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        int fit = same_network(i, a) ? 3 : in_pool(p, pool, i) ? 2 : has_outside_address(i);
        if (fit > best) {
            best = fit;
            device = i->ifa_name;
        }
    }
    return device;
}

static void add(struct missing *out, const struct addr *a, const char *device) {
    char text[ADDR_TEXT];
    if (out->count++ >= MISSING_KEPT)
        return;
    format_address(text, a);
    (void)snprintf(out->command[out->count - 1], MISSING_TEXT, "ip addr add %s/%d dev %.*s", text,
                   addr_is_v4(a) ? 32 : 128, (int)strcspn(device, ":"), device); /* not eth0:1, a label */
}

void missing_look(const struct policy *p, const struct host *h, struct missing *out) {
    static const enum addr_scope scopes[] = {SCOPE_V4, SCOPE_V6};
    struct ifaddrs *all = NULL;
    struct addr a;
    (void)getifaddrs(&all);
    for (unsigned i = 0; i < p->n_pools && i < POLICY_POOLS; i++)
        for (unsigned s = 0; s < sizeof scopes / sizeof *scopes && !p->pool[i].freebind; s++) {
            struct policy_span span = pool_sources(p, &p->pool[i], scopes[s]);
            for (unsigned j = 0; j < span.count; j++) {
                const struct policy_source *source = &p->source[span.first + j];
                for (uint32_t n = 0; n < missing_probes(source); n++)
                    if (missing_at(source, h, n, &a))
                        add(out, &a, device_for(p, &p->pool[i], all, &a));
            }
        }
    freeifaddrs(all);
}
