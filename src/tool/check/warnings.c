#include "tool/check/warnings.h"

#include "tool/check/missing.h"
#include "tool/check/model.h"
#include "text/parse.h"
#include "tool/check/routes.h"
#include "config/interfaces.h"

static bool uses(const struct policy *p, const struct policy_rule *rule, const struct policy_pool *pool) {
    return check_pool(p, rule) == pool;
}

/* Addresses that a bind() would refuse. */
static void warn_of_addresses(const struct policy_pool *pool, const struct policy_source *source, const struct host *h,
                              struct warnings *out) {
    char text[ADDR_TEXT], first[ADDR_TEXT] = "";
    uint32_t missing = 0, probed = missing_probes(source);
    struct addr a;
    for (uint32_t i = 0; i < probed; i++)
        if (missing_at(source, h, i, &a) && missing++ == 0)
            format_address(first, &a);
    if (missing == 0)
        return;
    format_address(text, &source->first);
    if (source->count == 1)
        warning_add(out, "pool \"%s\": %s is not on this host; try: add it to an interface, or set freebind = true",
                    pool->title, text);
    else
        warning_add(
            out,
            "pool \"%s\": %u of the %u addresses from %s on are not on this host, the first of them %s; try: add them "
            "to an interface, or set freebind = true",
            pool->title, missing, probed, text, first);
}

/* Addresses that bind() accepts all the same: what they send is lost, or its answers are. */
static void warn_of_mute(const struct policy_pool *pool, const struct policy_source *source, const struct host *h,
                         struct warnings *out) {
    char text[ADDR_TEXT];
    uint32_t missing = 0, probed = missing_probes(source);
    if (addr_scope(&source->first) == SCOPE_V4_LOOPBACK)
        return;
    for (uint32_t i = 0; i < probed; i++) {
        struct addr a = policy_source_at(source, i);
        const char *unusable = interface_fault(&a);
        bool absent = !host_has(h, &a) && (pool->freebind || host_can_bind(h, &a, source->interface));
        if (!unusable && (!absent || missing++))
            continue; /* of those that are absent the first */
        format_address(text, &a);
        if (unusable)
            warning_add(out, "pool \"%s\": %s is %s", pool->title, text, unusable);
        else
            warning_add(
                out,
                "pool \"%s\": %s is not on this host, but bind() accepts it (%s): its answers would not arrive. try: "
                "add it to an interface, or ip route add local %s dev lo",
                pool->title, text, pool->freebind ? "freebind" : "net.ipv4.ip_nonlocal_bind or its IPv6 twin", text);
    }
}

static void warn_of_sources(const struct policy *p, const struct policy_pool *pool, const struct host *h,
                            struct warnings *out) {
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        struct policy_span span = pool_sources(p, pool, (enum addr_scope)scope);
        for (unsigned i = 0; i < span.count; i++) {
            if (!pool->freebind)
                warn_of_addresses(pool, &p->source[span.first + i], h, out);
            warn_of_mute(pool, &p->source[span.first + i], h, out);
        }
    }
}

static void warn_of_ports(const struct policy *p, const struct policy_pool *pool, const struct host *h,
                          struct warnings *out) {
    struct port_count count = pool_ports(p, pool, &h->ports);
    struct port_range range = h->ports.ephemeral;
    if (count.outside)
        warning_add(
            out, "pool \"%s\": %u of its %u ports lie outside net.ipv4.ip_local_port_range (%u-%u) and %s", pool->title,
            count.outside, count.configured, range.low, range.high,
            pool_has_sources(pool)
                ? "are bound one by one, so no other program should use them; try: widen the range"
                : "are not used, since the pool has no addresses to bind; try: widen the range, or narrow ports");
    if (count.reserved)
        warning_add(out,
                    "pool \"%s\": %u of its %u ports are in net.ipv4.ip_local_reserved_ports: connections skip them",
                    pool->title, count.reserved, count.configured);
    if (count.usable == 0)
        warning_add(out, "pool \"%s\": no port is left that a connection could use", pool->title);
}

/* Each rule reaches some scopes, the pool has sources in some: do they meet anywhere? */
static void warn_of_scopes(const struct policy *p, const struct policy_pool *pool, struct warnings *out) {
    bool used = false, meets = !pool_has_sources(pool);
    for (unsigned i = 0; i < p->n_rules && i < POLICY_RULES; i++) {
        if (!uses(p, &p->rule[i], pool))
            continue;
        used = true;
        for (int scope = 0; scope < SCOPE_COUNT; scope++)
            meets |= pool->sources[scope].count > 0 && rule_reaches(p, &p->rule[i], (enum addr_scope)scope);
    }
    if (!used)
        warning_add(out, "pool \"%s\": no rule uses it", pool->title);
    else if (!meets)
        warning_add(
            out,
            "pool \"%s\": none of its addresses can reach a destination of the rules that use it: family, loopback or "
            "link differ",
            pool->title);
}

static const struct endpoint redis = {.addr = {.b = {[10] = 0xff, 0xff, 127, 0, 0, 1}}, .port = 6379};

static bool has_target(const struct policy *p, struct policy_span span) {
    for (unsigned i = 0; i < span.count && span.first + i < POLICY_TARGETS; i++)
        if (policy_target_fits(&p->target[span.first + i], &redis))
            return true;
    return false;
}

/* Redis without a password takes connections from 127.0.0.1 and ::1 alone, and compares text (protected mode). */
static void warn_of_redis(const struct policy *p, const struct policy_rule *rule, const struct policy_pool *pool,
                          struct warnings *out) {
    struct policy_span span = pool_sources(p, pool, SCOPE_V4_LOOPBACK);
    bool others = false;
    for (unsigned i = 0; i < span.count; i++)
        others |= p->source[span.first + i].count > 1 || addr_compare(&p->source[span.first + i].first, &redis.addr);
    if (others && has_target(p, rule->to) && !has_target(p, rule->except))
        warning_add(out,
                    "rule \"%s\": a Redis on 127.0.0.1:6379 in protected mode answers -DENIED to any source but "
                    "127.0.0.1; try: except = { \"127.0.0.1:6379\" }, or requirepass in Redis",
                    rule->title);
}

/* Endpoints of a kind that the rule has no destination of, and ports that may be shared all the same. */
static void warn_of_endpoints(const struct policy *p, const struct policy_rule *rule, const struct policy_pool *pool,
                              struct warnings *out) {
    char text[ENDPOINT_TEXT];
    for (unsigned i = 0; i < rule->also.count && rule->also.first + i < POLICY_TARGETS; i++) {
        const struct policy_target *t = &p->target[rule->also.first + i];
        if (rule_reaches(p, rule, addr_scope(&t->prefix)))
            continue;
        format_endpoint(text, &t->prefix, t->ports.low);
        warning_add(
            out,
            "rule \"%s\": also-to %s is of another family or kind than each of its destinations, so it is never "
            "used",
            rule->title, text);
    }
    if (pool->exclusive && rule->on_exhausted == EXHAUSTED_FALLBACK)
        warning_add(
            out,
            "rule \"%s\": its pool \"%s\" shares no ports, but a connect that falls back may get a port that the "
            "kernel shares; try: on-exhausted = \"error\"",
            rule->title, pool->title);
}

static void warn_of_rule(const struct policy *p, unsigned index, struct warnings *out) {
    const struct policy_rule *rule = &p->rule[index];
    const struct policy_pool *pool = check_pool(p, rule);
    if (pool && pool->policy == POOL_HASH && !(pool->hash_by & ~HASH_BY_DESTINATION) &&
        rule_has_one_destination(p, rule))
        warning_add(
            out,
            "rule \"%s\": its pool \"%s\" hashes over the destination, and it has one destination: every connection "
            "takes the same source first; try: round-robin",
            rule->title, pool->title);
    if (pool) {
        warn_of_redis(p, rule, pool, out);
        warn_of_endpoints(p, rule, pool, out);
    }
    for (unsigned i = 0; i < index; i++) {
        if (rule_shadows(p, &p->rule[i], rule)) {
            warning_add(out, "rule \"%s\": is never reached, since rule \"%s\" before it takes all its connections",
                        rule->title, p->rule[i].title);
            return;
        }
    }
}

void find_warnings(const struct policy *p, const struct host *h, struct warnings *out) {
    for (unsigned i = 0; i < p->n_pools && i < POLICY_POOLS; i++) {
        warn_of_sources(p, &p->pool[i], h, out);
        warn_of_routes(p, &p->pool[i], out);
        warn_of_ports(p, &p->pool[i], h, out);
        warn_of_scopes(p, &p->pool[i], out);
    }
    for (unsigned i = 0; i < p->n_rules && i < POLICY_RULES; i++)
        warn_of_rule(p, i, out);
}
