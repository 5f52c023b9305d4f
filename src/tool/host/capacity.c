#include "tool/host/capacity.h"

#include <string.h>

bool port_in(const struct port_set *set, unsigned port) {
    return port < PORTS && (set->word[port / 64] >> (port % 64) & 1);
}

static void add_ports(struct port_set *set, unsigned low, unsigned high) {
    for (unsigned port = low; port <= high && port < PORTS; port++)
        set->word[port / 64] |= UINT64_C(1) << (port % 64);
}

/* A port number, and what follows it in *text. */
static bool parse_port(const char **text, unsigned *out) {
    unsigned n = 0, digits = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, digits++) {
        n = n * 10 + (unsigned)(**text - '0');
        if (n >= PORTS)
            return false;
    }
    *out = n;
    return digits > 0;
}

static bool is_end(const char *text) {
    return text[0] == 0 || (text[0] == '\n' && text[1] == 0);
}

static bool parse_reserved(struct port_set *out, const char *text) {
    memset(out, 0, sizeof *out);
    while (!is_end(text)) {
        unsigned low, high;
        if (!parse_port(&text, &low))
            return false;
        high = low;
        if (*text == '-' && (text++, !parse_port(&text, &high)))
            return false;
        if (low > high)
            return false;
        add_ports(out, low, high);
        if (*text == ',')
            text++;
        else if (!is_end(text))
            return false;
    }
    return true;
}

bool host_ports_parse(struct host_ports *out, const char *ip_local_port_range, const char *ip_local_reserved_ports) {
    return ports_read_sysctl(ip_local_port_range, &out->ephemeral) &&
           parse_reserved(&out->reserved, ip_local_reserved_ports);
}

/* A span within an array of limit elements, of which used are filled. */
static struct policy_span clamp(struct policy_span span, unsigned used, unsigned limit) {
    unsigned end = used < limit ? used : limit;
    if (span.first > end)
        span.first = (uint16_t)end;
    if (span.count > end - span.first)
        span.count = (uint16_t)(end - span.first);
    return span;
}

struct policy_span pool_sources(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope) {
    return clamp(pool->sources[scope], p->n_sources, POLICY_SOURCES);
}

bool source_has(const struct policy_source *s, const struct addr *a) {
    struct addr last = addr_add(&s->first, s->count ? s->count - 1u : 0);
    if (policy_source_has_steps(s))
        return addr_scope(a) == SCOPE_V6 && addr_upper(a) - addr_upper(&s->first) < s->prefixes;
    return addr_compare(a, &s->first) >= 0 && addr_compare(a, &last) <= 0;
}

bool pool_has_sources(const struct policy_pool *pool) {
    for (int scope = 0; scope < SCOPE_COUNT; scope++)
        if (pool->sources[scope].count > 0)
            return true;
    return false;
}

struct port_count pool_ports(const struct policy *p, const struct policy_pool *pool, const struct host_ports *host) {
    struct policy_span span = clamp(pool->ports, p->n_ports, POLICY_PORTS);
    struct port_set configured = {0};
    struct port_count count = {0};
    if (pool->ports.count == 0)
        add_ports(&configured, host->ephemeral.low, host->ephemeral.high);
    for (unsigned i = 0; i < span.count; i++)
        add_ports(&configured, p->ports[span.first + i].low, p->ports[span.first + i].high);
    for (unsigned port = 0; port < PORTS; port++) {
        if (!port_in(&configured, port))
            continue;
        bool outside = port < host->ephemeral.low || port > host->ephemeral.high;
        bool reserved = !outside && port_in(&host->reserved, port);
        count.configured++;
        count.outside += outside;
        count.reserved += reserved;
        count.usable += outside ? pool_has_sources(pool) : !reserved;
    }
    return count;
}

struct capacity capacity_of(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope,
                            const struct host_ports *host, uint64_t close_cells) {
    struct policy_span span = pool_sources(p, pool, scope);
    struct capacity c = {.own_choice = !pool_has_sources(pool), .ports = pool_ports(p, pool, host).usable};
    if (c.own_choice)
        c.sources = 1;
    for (unsigned i = 0; i < span.count; i++)
        c.sources += p->source[span.first + i].count;
    c.quadruplets = c.sources * c.ports;
    c.per_second = (double)c.quadruplets / TIME_WAIT_SECONDS;
    c.ring_seconds = c.quadruplets ? (double)close_cells / c.per_second : 0;
    return c;
}

/* --- what targets cover --- */

struct prefix {
    struct addr addr;
    unsigned length;
};

static const struct prefix v4 = {{{[10] = 0xff, [11] = 0xff}}, 96};
static const struct prefix v4_loopback = {{{[10] = 0xff, [11] = 0xff, [12] = 127}}, 104};
static const struct prefix v6_loopback = {{{[15] = 1}}, 128};
static const struct prefix v6_link = {{{0xfe, 0x80}}, 10};

static bool contains(const struct prefix *outer, const struct prefix *inner) {
    return outer->length <= inner->length && addr_in_prefix(&inner->addr, &outer->addr, outer->length);
}

/* Two prefixes are disjoint, or one contains the other. */
static bool overlap(const struct prefix *a, const struct prefix *b) {
    return contains(a, b) || contains(b, a);
}

/* "::/0" means IPv6: it matches no v4-mapped address (policy_match). */
static bool target_reaches(const struct policy_target *target, enum addr_scope scope) {
    const struct prefix to = {target->prefix, target->length};
    bool is_v4 = addr_is_v4(&to.addr);
    if (target->any)
        return true;
    switch (scope) {
    case SCOPE_V4_LOOPBACK:
        return is_v4 && overlap(&to, &v4_loopback);
    case SCOPE_V4:
        return is_v4 && !contains(&v4_loopback, &to);
    case SCOPE_V6_LOOPBACK:
        return !is_v4 && contains(&to, &v6_loopback);
    case SCOPE_V6_LINK:
        return !is_v4 && overlap(&to, &v6_link);
    case SCOPE_V6:
        return !is_v4 && !contains(&v6_loopback, &to) && !contains(&v6_link, &to);
    case SCOPE_COUNT:
        break;
    }
    return false;
}

static bool all_ports(struct port_range r) {
    return r.low <= 1 && r.high == PORTS - 1;
}

/* Does an exception take a whole scope out? Only those that one prefix describes. */
static bool target_removes(const struct policy_target *except, enum addr_scope scope) {
    const struct prefix out = {except->prefix, except->length};
    const struct prefix *whole = scope == SCOPE_V4_LOOPBACK   ? &v4_loopback
                                 : scope == SCOPE_V4          ? &v4
                                 : scope == SCOPE_V6_LOOPBACK ? &v6_loopback
                                 : scope == SCOPE_V6_LINK     ? &v6_link
                                                              : NULL;
    if (!all_ports(except->ports))
        return false;
    if (except->any)
        return true;
    if (!whole)
        return out.length == 0 && !addr_is_v4(&out.addr);
    return addr_is_v4(&out.addr) == addr_is_v4(&whole->addr) && contains(&out, whole);
}

bool rule_reaches(const struct policy *p, const struct policy_rule *rule, enum addr_scope scope) {
    struct policy_span to = clamp(rule->to, p->n_targets, POLICY_TARGETS);
    struct policy_span except = clamp(rule->except, p->n_targets, POLICY_TARGETS);
    for (unsigned i = 0; i < except.count; i++)
        if (target_removes(&p->target[except.first + i], scope))
            return false;
    for (unsigned i = 0; i < to.count; i++)
        if (target_reaches(&p->target[to.first + i], scope))
            return true;
    return false;
}

bool rule_has_one_destination(const struct policy *p, const struct policy_rule *rule) {
    struct policy_span to = clamp(rule->to, p->n_targets, POLICY_TARGETS);
    if (to.count != 1)
        return false;
    const struct policy_target *target = &p->target[to.first];
    return !target->any && target->length == 128 && target->ports.low == target->ports.high;
}

unsigned rule_endpoints(const struct policy *p, const struct policy_rule *rule, enum addr_scope scope) {
    struct policy_span also = clamp(rule->also, p->n_targets, POLICY_TARGETS);
    const struct policy_target *own = rule_has_one_destination(p, rule) ? &p->target[rule->to.first] : NULL;
    unsigned n = 0;
    if (rule->pool < POLICY_POOLS && p->pool[rule->pool].exclusive)
        return 1;
    for (unsigned i = 0; i < also.count; i++) {
        const struct policy_target *t = &p->target[also.first + i];
        if (addr_scope(&t->prefix) != scope || t->ports.low > t->ports.high)
            continue;
        n += 1u + t->ports.high - t->ports.low;
        if (own && addr_compare(&own->prefix, &t->prefix) == 0 && own->ports.low >= t->ports.low &&
            own->ports.low <= t->ports.high)
            n--;
    }
    return 1 + (n < RULE_ENDPOINTS ? n : (unsigned)RULE_ENDPOINTS);
}

static bool target_covers(const struct policy_target *outer, const struct policy_target *inner) {
    const struct prefix a = {outer->prefix, outer->length}, b = {inner->prefix, inner->length};
    bool family = addr_is_v4(&a.addr) == addr_is_v4(&b.addr);
    bool ports =
        all_ports(outer->ports) || (outer->ports.low <= inner->ports.low && outer->ports.high >= inner->ports.high);
    return ports && (outer->any || (!inner->any && family && contains(&a, &b)));
}

static bool covered(const struct policy *p, const struct policy_target *target, struct policy_span by) {
    for (unsigned i = 0; i < by.count; i++)
        if (target_covers(&p->target[by.first + i], target))
            return true;
    return false;
}

/* No globs are compared: only an earlier rule for any program, or one with the very same list, takes them all. */
static bool same_programs(const struct policy *p, struct policy_span a, struct policy_span b) {
    a = clamp(a, p->n_programs, POLICY_PROGRAMS);
    b = clamp(b, p->n_programs, POLICY_PROGRAMS);
    return a.count == 0 || (a.count == b.count &&
                            memcmp(p->program[a.first], p->program[b.first], (size_t)a.count * POLICY_PROGRAM) == 0);
}

bool rule_shadows(const struct policy *p, const struct policy_rule *earlier, const struct policy_rule *later) {
    struct policy_span by = clamp(earlier->to, p->n_targets, POLICY_TARGETS);
    struct policy_span to = clamp(later->to, p->n_targets, POLICY_TARGETS);
    if (earlier->except.count > 0 || to.count == 0 || !same_programs(p, earlier->programs, later->programs))
        return false;
    for (unsigned i = 0; i < to.count; i++)
        if (!covered(p, &p->target[to.first + i], by))
            return false;
    return true;
}
