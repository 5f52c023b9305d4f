#include "config/sections.h"

#include <stdio.h>
#include <string.h>

#include "config/also.h"
#include "config/pool_keys.h"
#include "config/reading.h"
#include "config/ranges.h"

static bool title_is_valid(struct reading *r, const char *title, int line) {
    size_t length = strlen(title);
    if (strchr(title, SOURCE_POISON))
        return false;
    for (const char *c = title; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            mistake_add(r->m, line, "%s: \"%.80s\" has control characters; try: a title of 1 to 31 bytes", r->section,
                        title);
            return false;
        }
    if (length >= 1 && length < POLICY_TITLE)
        return true;
    mistake_add(r->m, line, "%s: \"%.80s\" is %s; try: a title of 1 to 31 bytes", r->section, title,
                length ? "too long" : "empty");
    return false;
}

/* Starts a section; the number of those of its kind tells whether there is room. */
static bool begin(struct reading *r, const char *section, const char *title, int line, unsigned count, unsigned max) {
    r->section = section;
    r->section_line = line;
    r->has_ports = r->has_exclusions = r->has_pool = false;
    r->ports_line = 0;
    r->section_mistakes = r->m->count;
    if (count == max)
        mistake_add(r->m, line, "%s: \"%.80s\" is one too many; try: at most %u of them", section, title, max);
    return count < max;
}

bool config_pool_begin(struct reading *r, const char *title, int line) {
    struct policy *out = r->out;
    if (!begin(r, "pool", title, line, out->n_pools, POLICY_POOLS))
        return false;
    r->pool = &out->pool[out->n_pools++];
    *r->pool = (struct policy_pool){.reuse_after_ms = 60000};
    if (title_is_valid(r, title, line))
        memcpy(r->pool->title, title, strlen(title));
    r->without_line = r->hash_by_line = 0;
    r->prefix_step = 0;
    memset(r->sources, 0, sizeof r->sources);
    memset(r->ports, 0, sizeof r->ports);
    return true;
}

/* Moves the ranges of one scope into the policy. */
static void store_sources(struct reading *r, unsigned scope) {
    struct policy *out = r->out;
    struct source_list *list = &r->sources[scope];
    uint32_t total = 0;
    if (list->count > POLICY_SOURCES - (unsigned)out->n_sources) {
        mistake_add(r->m, r->section_line,
                    "addresses: the pools together name more than %d ranges; try: fewer, larger ranges",
                    POLICY_SOURCES);
        return;
    }
    r->pool->sources[scope] = (struct policy_span){.first = out->n_sources, .count = (uint16_t)list->count};
    for (unsigned i = 0; i < list->count; i++) {
        struct policy_source range = list->range[i];
        if (range.count > UINT32_MAX - total)
            range.count = UINT32_MAX - total;
        total += range.count;
        out->source[out->n_sources++] = range;
    }
    r->pool->total[scope] = total;
}

static void store_ports(struct reading *r) {
    struct policy *out = r->out;
    struct port_range ranges[POOL_PORTS];
    unsigned count = ports_ranges(r->ports, ranges, POOL_PORTS);
    int line = r->has_ports ? r->ports_line : r->exclusions_line;
    if (count == 0) {
        if (r->has_exclusions && r->m->count == r->section_mistakes)
            mistake_add(r->m, r->exclusions_line,
                        "exclude-ports: none of the pool's ports is left; try: exclude fewer");
        return;
    }
    if (count > POOL_PORTS) {
        mistake_add(r->m, line, "ports: %u ranges are left after exclusions; try: at most %d", count, POOL_PORTS);
        return;
    }
    if (count > POLICY_PORTS - (unsigned)out->n_ports) {
        mistake_add(r->m, line, "ports: the pools together name more than %d ranges; try: fewer, larger ranges",
                    POLICY_PORTS);
        return;
    }
    r->pool->ports = (struct policy_span){.first = out->n_ports, .count = (uint16_t)count};
    memcpy(&out->ports[out->n_ports], ranges, count * sizeof *ranges);
    out->n_ports = (uint16_t)(out->n_ports + count);
}

void config_pool_end(struct reading *r) {
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
        store_sources(r, scope);
    store_ports(r);
    pool_keys_end(r);
    config_port_sharing_end(r);
}

bool config_rule_begin(struct reading *r, const char *title, int line) {
    struct policy *out = r->out;
    if (!begin(r, "rule", title, line, out->n_rules, POLICY_RULES))
        return false;
    r->rule = &out->rule[out->n_rules++];
    *r->rule = (struct policy_rule){.attempts = 16};
    config_also_begin(r->rule);
    if (title_is_valid(r, title, line))
        memcpy(r->rule->title, title, strlen(title));
    return true;
}

void config_rule_end(struct reading *r, bool has_to) {
    if (r->stopped)
        return;
    if (!has_to)
        mistake_add(r->m, r->section_line, "to: is missing in rule \"%s\"; try: to = { \"*\" } takes every destination",
                    r->rule->title);
    if (!r->has_pool && r->rule->action == ACTION_SPREAD)
        mistake_add(r->m, r->section_line,
                    "pool: is missing in rule \"%s\"; try: pool = \"TITLE\", or action = \"ignore\"", r->rule->title);
    config_also_end(r);
}
