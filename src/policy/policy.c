/* Runs inside the client: see the rules in policy.h. */
#include "policy/policy.h"

#include <string.h>

#include "policy/glob.h"
#include "policy/program.h"

const char *const policy_mode_word[MODE_COUNT + 1] = {
    [MODE_ENFORCE] = "enforce",
    [MODE_OBSERVE] = "observe",
    [MODE_OFF] = "off",
};

typedef uint32_t __attribute__((may_alias)) word;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

_Static_assert(offsetof(struct policy, target) % 4 == 0, "addresses are loaded by words");
_Static_assert(offsetof(struct policy, source) % 4 == 0, "addresses are loaded by words");

static void load_addr(struct addr *out, const struct addr *shared) {
#pragma GCC unroll 4
    for (size_t i = 0; i < sizeof *out; i += sizeof(word)) {
        word w = __atomic_load_n((const word *)(const void *)(shared->b + i), __ATOMIC_RELAXED);
        memcpy(out->b + i, &w, sizeof w);
    }
}

static struct port_range load_ports(const struct port_range *shared) {
    return (struct port_range){.low = LOAD(shared->low), .high = LOAD(shared->high)};
}

/* A span that lies within an array of limit entries, whatever the memory says. */
static struct policy_span load_span(const struct policy_span *shared, unsigned limit) {
    struct policy_span span = {.first = LOAD(shared->first), .count = LOAD(shared->count)};
    if (span.first >= limit)
        return (struct policy_span){0};
    if (span.count > limit - span.first)
        span.count = (uint16_t)(limit - span.first);
    return span;
}

bool policy_target_fits(const struct policy_target *shared, const struct endpoint *destination) {
    struct port_range ports = load_ports(&shared->ports);
    if (destination->port < ports.low || destination->port > ports.high)
        return false;
    if (LOAD(shared->any))
        return true;
    struct addr prefix;
    load_addr(&prefix, &shared->prefix);
    /* ::/0 contains every v4-mapped address, but people who write it mean IPv6. */
    return addr_is_v4(&prefix) == addr_is_v4(&destination->addr) &&
           addr_in_prefix(&destination->addr, &prefix, LOAD(shared->length));
}

static bool any_target_fits(const struct policy *p, const struct policy_span *shared,
                            const struct endpoint *destination) {
    struct policy_span span = load_span(shared, POLICY_TARGETS);
    for (unsigned i = 0; i < span.count; i++)
        if (policy_target_fits(&p->target[span.first + i], destination))
            return true;
    return false;
}

static bool any_name_fits(const char *glob, const char *names) {
    char name[POLICY_PROGRAM];
    if (!*names)
        return policy_glob(glob, names);
    while (program_next(&names, name))
        if (policy_glob(glob, name))
            return true;
    return false;
}

static bool any_program_fits(const struct policy *p, struct policy_span span, const char *program) {
    for (unsigned i = 0; i < span.count; i++) {
        char glob[POLICY_PROGRAM];
        for (size_t j = 0; j < sizeof glob; j++)
            glob[j] = LOAD(p->program[span.first + i][j]);
        glob[sizeof glob - 1] = '\0';
        if (any_name_fits(glob, program))
            return true;
    }
    return false;
}

static bool program_fits(const struct policy *p, const struct policy_rule *rule, const char *program) {
    struct policy_span span = load_span(&rule->programs, POLICY_PROGRAMS);
    return span.count == 0 || any_program_fits(p, span, program);
}

/* Copies the sources of the destination's scope; on a link, those of its interface. */
static void plan_sources(const struct policy *p, const struct policy_pool *pool, const struct endpoint *destination,
                         struct match *out) {
    struct policy_span span = load_span(&pool->sources[out->scope], POLICY_SOURCES);
    for (unsigned i = 0; i < span.count && out->n_sources < POOL_SOURCES; i++) {
        const struct policy_source *shared = &p->source[span.first + i];
        struct policy_source source = {.count = LOAD(shared->count), .interface = LOAD(shared->interface)};
        load_addr(&source.first, &shared->first);
        if (addr_scope(&source.first) != out->scope)
            continue;
        if (out->scope == SCOPE_V6_LINK && destination->scope != 0 && source.interface != destination->scope)
            continue;
        if (source.count > UINT32_MAX - out->total)
            source.count = UINT32_MAX - out->total;
        if (source.count == 0)
            continue;
        out->total += source.count;
        out->source[out->n_sources++] = source;
    }
}

static void plan_ports(const struct policy *p, const struct policy_pool *pool, struct match *out) {
    struct policy_span span = load_span(&pool->ports, POLICY_PORTS);
    for (unsigned i = 0; i < span.count && out->n_ports < POOL_PORTS; i++) {
        struct port_range range = load_ports(&p->ports[span.first + i]);
        if (range.low >= 1 && range.low <= range.high)
            out->ports[out->n_ports++] = range;
    }
}

static void plan_pool(const struct policy *p, unsigned index, const struct endpoint *destination, struct match *out) {
    const struct policy_pool *pool = &p->pool[index];
    uint8_t policy = LOAD(pool->policy);
    out->pool = (uint16_t)index;
    out->pool_id = LOAD(pool->title_id);
    out->policy = policy < POOL_POLICY_COUNT ? policy : POOL_ROUND_ROBIN;
    if (policy == POOL_HASH && LOAD(pool->hash_by) & ~HASH_BY_DESTINATION)
        out->policy = POOL_HASH_BY;
    out->binding =
        (uint8_t)((LOAD(pool->freebind) ? BINDING_FREEBIND : 0) | (LOAD(pool->exclusive) ? BINDING_EXCLUSIVE : 0));
    out->reuse_after_ms = LOAD(pool->reuse_after_ms);
    for (unsigned i = 0; i < SCOPE_COUNT; i++)
        if (LOAD(pool->sources[i].count) != 0)
            out->has_sources = 1;
    plan_sources(p, pool, destination, out);
    plan_ports(p, pool, out);
}

/* The endpoints of one entry, but for the destination itself. */
static void plan_endpoints(const struct policy_target *shared, const struct endpoint *destination, struct match *out) {
    struct endpoint to = {0};
    struct port_range ports = load_ports(&shared->ports);
    load_addr(&to.addr, &shared->prefix);
    if (LOAD(shared->any) || LOAD(shared->length) != 128 || addr_is_any(&to.addr) ||
        addr_scope(&to.addr) != out->scope || out->scope == SCOPE_V6_LINK)
        return;
    bool same = addr_compare(&to.addr, &destination->addr) == 0;
    for (uint32_t port = ports.low ? ports.low : 1; port <= ports.high && out->n_also < RULE_ENDPOINTS; port++) {
        to.port = (uint16_t)port;
        if (!same || port != destination->port)
            out->also.to[out->n_also++] = to;
    }
}

static void plan_also(const struct policy *p, const struct policy_rule *rule, const struct endpoint *destination,
                      struct match *out) {
    struct policy_span span = load_span(&rule->also, POLICY_TARGETS);
    uint8_t to_policy = LOAD(rule->to_policy);
    out->also.timeout_ms = LOAD(rule->to_timeout_ms);
    out->also.hold_down_ms = LOAD(rule->to_hold_down_ms);
    out->to = to_policy < TO_POLICY_COUNT ? to_policy : TO_CLIENT_FIRST;
    if (LOAD(rule->show_asked))
        out->to |= TO_SHOW_ASKED;
    for (unsigned i = 0; i < span.count && out->n_also < RULE_ENDPOINTS; i++)
        plan_endpoints(&p->target[span.first + i], destination, out);
}

static void plan_rule(const struct policy *p, const struct policy_rule *rule, const struct endpoint *destination,
                      struct match *out) {
    unsigned pool = LOAD(rule->pool), pools = LOAD(p->n_pools);
    uint8_t attempts = LOAD(rule->attempts), client_bind = LOAD(rule->client_bind);
    out->rule_id = LOAD(rule->title_id);
    if (LOAD(rule->action) != ACTION_SPREAD || pool >= POLICY_POOLS || pool >= pools)
        return;
    out->matched = MATCHED_SPREAD;
    out->on_exhausted = LOAD(rule->on_exhausted) == EXHAUSTED_ERROR ? EXHAUSTED_ERROR : EXHAUSTED_FALLBACK;
    out->client_bind = client_bind <= CLIENT_BIND_OVERRIDE ? client_bind : CLIENT_BIND_KEEP;
    out->attempts = attempts < 1 ? 1 : attempts > RULE_ATTEMPTS_MAX ? RULE_ATTEMPTS_MAX : attempts;
    out->wait_ms = LOAD(rule->wait_ms);
    plan_pool(p, pool, destination, out);
    if (LOAD(rule->also.count))
        plan_also(p, rule, destination, out);
    if (out->binding & BINDING_EXCLUSIVE || (out->n_also && (out->to & TO_POLICY) != TO_CLIENT_FIRST))
        out->matched = MATCHED_UNUSUAL;
}

static unsigned rule_count(const struct policy *p) {
    unsigned n = LOAD(p->n_rules);
    return n < POLICY_RULES ? n : POLICY_RULES;
}

void policy_match(const struct policy *p, const struct endpoint *destination, const char *program, struct match *out) {
    unsigned rules = rule_count(p);
    memset(out, 0, offsetof(struct match, source)); /* of the arrays, what the counts cover is written */
    out->scope = (uint8_t)addr_scope(&destination->addr);
    /* Connecting to the wildcard means this host: the kernel puts the source there if one is bound, so bind none. */
    if (addr_is_any(&destination->addr))
        return;
    for (unsigned i = 0; i < rules; i++) {
        const struct policy_rule *rule = &p->rule[i];
        if (any_target_fits(p, &rule->to, destination) && !any_target_fits(p, &rule->except, destination) &&
            program_fits(p, rule, program)) {
            plan_rule(p, rule, destination, out);
            return;
        }
    }
}

__attribute__((noinline)) enum rule_client_bind policy_client_bind(const struct policy *p, const char *program) {
    unsigned rules = rule_count(p);
    enum rule_client_bind strongest = CLIENT_BIND_KEEP;
    for (unsigned i = 0; i < rules && strongest != CLIENT_BIND_OVERRIDE; i++) {
        const struct policy_rule *rule = &p->rule[i];
        uint8_t client_bind = LOAD(rule->client_bind);
        if (LOAD(rule->action) != ACTION_SPREAD || !program_fits(p, rule, program))
            continue;
        if (client_bind == CLIENT_BIND_LATE_PORT || client_bind == CLIENT_BIND_OVERRIDE)
            strongest = (enum rule_client_bind)client_bind;
    }
    return strongest;
}

/* The /64 take turns: a new one before a new address in one. */
static struct addr stepped(const struct policy_source *range, uint32_t n) {
    struct addr a = addr_add(&range->first, n / range->prefixes);
    return addr_add_upper(&a, n % range->prefixes);
}

bool policy_source_has_steps(const struct policy_source *range) {
    return range->prefixes && addr_scope(&range->first) == SCOPE_V6;
}

struct addr policy_source_at(const struct policy_source *range, uint32_t n) {
    return policy_source_has_steps(range) ? stepped(range, n) : addr_add(&range->first, n);
}

/* Apart: few pools have links or steps. */
__attribute__((noinline)) static struct endpoint special_source(const struct policy_source *range, uint32_t n) {
    return (struct endpoint){.addr = policy_source_at(range, n),
                             .scope = policy_source_has_steps(range) ? 0 : range->interface};
}

struct endpoint match_source(const struct match *match, uint32_t n) {
    struct endpoint source = {0};
    for (unsigned i = 0; i < match->n_sources && i < POOL_SOURCES; i++) {
        const struct policy_source *range = &match->source[i];
        if (n < range->count) {
            if (range->interface)
                return special_source(range, n);
            source.addr = addr_add(&range->first, n);
            return source;
        }
        n -= range->count;
    }
    return source;
}

void policy_default(struct policy *out) {
    static const char title[] = "default";
    memset(out, 0, sizeof *out);
    out->mode = MODE_ENFORCE;
    out->canary = 100;
    out->log_closes = CLOSES_TIME_WAIT;
    out->log_inbound = 1;
    out->log_verify = VERIFY_AUTO;
    out->log_size = 8u << 20;

    out->n_pools = 1;
    struct policy_pool *pool = &out->pool[0];
    memcpy(pool->title, title, sizeof title);
    pool->policy = POOL_ROUND_ROBIN;
    pool->reuse_after_ms = 60000;

    out->n_rules = 1;
    struct policy_rule *rule = &out->rule[0];
    memcpy(rule->title, title, sizeof title);
    rule->to = (struct policy_span){.first = 0, .count = 1};
    rule->except = (struct policy_span){.first = 1, .count = 2};
    rule->action = ACTION_SPREAD;
    rule->on_exhausted = EXHAUSTED_FALLBACK;
    rule->client_bind = CLIENT_BIND_LATE_PORT;
    rule->attempts = 16;

    out->n_targets = 3;
    out->target[0] = (struct policy_target){.any = 1, .ports = {1, 65535}};
    out->target[1] = (struct policy_target){.prefix = addr_from_v4(0x7f000000), .length = 104, .ports = {1, 65535}};
    out->target[2] = (struct policy_target){.prefix = {.b = {[15] = 1}}, .length = 128, .ports = {1, 65535}};
}
