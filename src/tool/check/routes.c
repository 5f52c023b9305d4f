#include "tool/check/routes.h"

#include "tool/check/model.h"
#include "text/parse.h"

/* What is asked about: an address costs up to four questions to the kernel for each destination. */
enum { DESTINATIONS = 8, ADDRESSES = 64 };

/* Stand for "*": addresses for documentation, which go the way of the rest of the world (RFC 5737, RFC 3849). */
static struct endpoint somewhere(enum addr_scope scope) {
    static const struct addr v6 = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    return (struct endpoint){.addr = scope == SCOPE_V4 ? addr_from_v4(0xc0000201) : v6, .port = 443};
}

/* One destination that the target covers in this scope. False: none. */
static bool destination_of(const struct policy_target *target, enum addr_scope scope, struct endpoint *out) {
    *out = somewhere(scope);
    if (target->ports.low > 1)
        out->port = target->ports.low;
    if (target->any)
        return true;
    out->addr = target->length < 128 ? addr_add(&target->prefix, 1) : target->prefix;
    return addr_scope(&out->addr) == scope;
}

static unsigned destinations_of(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope,
                                struct endpoint out[DESTINATIONS]) {
    unsigned n = 0;
    for (unsigned i = 0; i < p->n_rules && i < POLICY_RULES; i++) {
        struct policy_span to = p->rule[i].to;
        for (unsigned j = 0; check_pool(p, &p->rule[i]) == pool && j < to.count; j++)
            if (n < DESTINATIONS && destination_of(&p->target[(to.first + j) % POLICY_TARGETS], scope, &out[n]))
                n++;
    }
    return n;
}

static void warn_of_way(const struct policy_pool *pool, const struct addr *source, const struct endpoint *destination,
                        unsigned n, struct warnings *out) {
    char home[IF_NAMESIZE], way[IF_NAMESIZE], from[ADDR_TEXT], to[ADDR_TEXT];
    for (unsigned i = 0; i < n; i++) {
        if (!host_leaves_elsewhere(source, &destination[i], home, way))
            continue;
        format_address(from, source);
        format_address(to, &destination[i].addr);
        warning_add(
            out,
            "pool \"%s\": %s is an address of %s, but what it sends to %s leaves by %s. try: ip rule add from %s "
            "lookup TABLE, with a table that routes by %s",
            pool->title, from, home, to, way, from, home);
        return;
    }
}

void warn_of_routes(const struct policy *p, const struct policy_pool *pool, struct warnings *out) {
    static const enum addr_scope scopes[] = {SCOPE_V4, SCOPE_V6};
    struct endpoint destination[DESTINATIONS];
    for (unsigned s = 0; s < sizeof scopes / sizeof *scopes; s++) {
        struct policy_span span = pool_sources(p, pool, scopes[s]);
        unsigned n = destinations_of(p, pool, scopes[s], destination);
        for (unsigned i = 0; i < span.count; i++) {
            const struct policy_source *source = &p->source[span.first + i];
            for (uint32_t j = 0; j < source->count && j < ADDRESSES; j++) {
                struct addr a = policy_source_at(source, j);
                warn_of_way(pool, &a, destination, n, out);
            }
        }
    }
}
