#include "tool/check/print.h"

#include <stdio.h>
#include <string.h>

#include "tool/check/missing.h"
#include "tool/check/model.h"
#include "tool/check/names.h"
#include "tool/check/sizing.h"
#include "tool/common/override.h"
#include "tool/common/strbuf.h"
#include "text/parse.h"
#include "tool/common/message.h"

enum { NAMED_ADDRESSES = 4, PORTS_MOST = 65535 - 1024 + 1 };

static const char *const scope_title[SCOPE_COUNT] = {
    [SCOPE_V4_LOOPBACK] = "IPv4 loopback", [SCOPE_V4] = "IPv4", [SCOPE_V6_LOOPBACK] = "IPv6 loopback",
    [SCOPE_V6_LINK] = "IPv6 link-local",   [SCOPE_V6] = "IPv6",
};

/* Does this rule, towards this scope, have a capacity to speak of? A pool without addresses is the same for every
 * scope: only the first that the rule reaches counts. */
static bool applies(const struct policy *p, const struct policy_rule *rule, enum addr_scope scope) {
    const struct policy_pool *pool = check_pool(p, rule);
    if (!pool || !rule_reaches(p, rule, scope))
        return false;
    if (pool_has_sources(pool))
        return pool->sources[scope].count > 0;
    for (int earlier = 0; earlier < (int)scope; earlier++)
        if (rule_reaches(p, rule, (enum addr_scope)earlier))
            return false;
    return true;
}

static void print_duration(double seconds) {
    if (seconds < 120)
        printf("%.1f s", seconds);
    else if (seconds < 7200)
        printf("%.0f minutes", seconds / 60);
    else
        printf("%.0f hours", seconds / 3600);
}

static void print_head(const struct findings *f) {
    char cells[GROUPED_TEXT], override[OVERRIDE_TEXT];
    if (f->control.has_mode || f->control.has_canary) {
        const struct settings settings = {.mode = f->policy.mode, .canary = f->policy.canary};
        override_text(override, f->control, &settings);
        printf("override    %s: by connspread set, until set mode=config canary=config\n", override);
    }
    say("config      %s", f->where.config[0] ? f->where.config : "(built-in default)");
    say("instance    %s", f->where.instance);
    if (f->bad_state_file)
        say("state file  %s (cannot be used, see the warning below)", f->where.state_file);
    else
        say("state file  %s (%s, event buffer of %s events)", f->where.state_file,
            f->has_state_file ? "in use" : "not there yet", grouped(cells, f->close_cells));
    printf("mode        %s, canary %u %%\n", override_mode_name(check_mode(f, false)), check_canary(f, false));
}

static bool in_pool(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope,
                    const struct addr *a) {
    struct policy_span span = pool_sources(p, pool, scope);
    for (unsigned i = 0; i < span.count; i++) {
        if (source_has(&p->source[span.first + i], a))
            return true;
    }
    return false;
}

/* Addresses that this host has already and the pool does not use. */
static void print_idle_addresses(const struct findings *f, const struct policy_pool *pool, enum addr_scope scope) {
    unsigned found = 0;
    char text[ADDR_TEXT];
    if (!pool_has_sources(pool) || scope == SCOPE_V4_LOOPBACK)
        return;
    for (unsigned i = 0; i < f->host.n_addresses; i++) {
        const struct addr *a = &f->host.address[i];
        if (addr_scope(a) != scope || in_pool(&f->policy, pool, scope, a))
            continue;
        format_address(text, a);
        if (found < NAMED_ADDRESSES)
            printf("%s%s", found ? ", " : "    this host also has ", text);
        found++;
    }
    if (found > NAMED_ADDRESSES)
        printf(" and %u more", found - NAMED_ADDRESSES);
    if (found)
        printf(", not in the pool\n");
}

static void print_raises(const struct findings *f, const struct policy_pool *pool, enum addr_scope scope,
                         const struct capacity *c) {
    char ports[GROUPED_TEXT], quadruplets[GROUPED_TEXT], sources[GROUPED_TEXT], more[GROUPED_TEXT];
    struct port_range range = f->host.ports.ephemeral;
    printf("    each further source address adds %s, each further port %s\n", grouped(ports, c->ports),
           grouped(sources, c->sources));
    if (!pool->exclusive)
        printf("    each further peer address or peer port adds %s\n", grouped(quadruplets, c->quadruplets));
    print_idle_addresses(f, pool, scope);
    if (pool->ports.count == 0 && (range.low > 1024 || range.high < 65535))
        printf("    net.ipv4.ip_local_port_range is %u-%u: 1024-65535 would allow %s\n", range.low, range.high,
               grouped(more, c->sources * PORTS_MOST));
}

static bool is_loopback(enum addr_scope scope, const struct capacity *c) {
    return !c->own_choice && (scope == SCOPE_V4_LOOPBACK || scope == SCOPE_V6_LOOPBACK);
}

static void print_reuse(const struct findings *f, enum addr_scope scope, const struct capacity *c) {
    char text[TW_REUSE_TEXT], rate[GROUPED_TEXT];
    bool loopback = is_loopback(scope, c);
    if (tw_reuse_text(&f->reuse, loopback, text))
        printf("    %s: up to %s a second\n", text,
               grouped(rate, (uint64_t)tw_reuse_per_second(&f->reuse, loopback, c->quadruplets)));
}

/* Of a rule with other endpoints: what the service as a whole may have. */
static void print_endpoints(const struct policy_rule *rule, const struct policy_pool *pool, unsigned endpoints,
                            const struct capacity *c) {
    char all[GROUPED_TEXT];
    if (pool->exclusive && rule->also.count)
        printf("    also-to adds none to that, since the pool shares no ports\n");
    if (endpoints > 1)
        printf("    x %u endpoints, its own and %u of also-to = %s quadruplets for the service\n", endpoints,
               endpoints - 1, grouped(all, c->quadruplets * endpoints));
}

static void print_capacity(const struct findings *f, const struct policy_rule *rule, enum addr_scope scope) {
    const struct policy_pool *pool = check_pool(&f->policy, rule);
    unsigned endpoints = rule_endpoints(&f->policy, rule, scope);
    char sources[GROUPED_TEXT], ports[GROUPED_TEXT], quadruplets[GROUPED_TEXT], rate[GROUPED_TEXT];
    struct capacity c = capacity_of(&f->policy, pool, scope, &f->host.ports, f->close_cells);
    printf("  %s: %s %s x %s ports = %s quadruplets %s\n", c.own_choice ? "any family" : scope_title[scope],
           grouped(sources, c.sources),
           c.own_choice     ? "source (the kernel's choice)"
           : c.sources == 1 ? "source"
                            : "sources",
           grouped(ports, c.ports), grouped(quadruplets, c.quadruplets),
           pool->exclusive ? "for all destinations together (port-sharing never)" : "for each destination");
    if (c.quadruplets == 0)
        return;
    print_endpoints(rule, pool, endpoints, &c);
    printf("    %s new connections a second, sustained (a TIME-WAIT lasts %d s)\n",
           grouped(rate, (uint64_t)(c.per_second * endpoints)), TIME_WAIT_SECONDS);
    print_reuse(f, scope, &c);
    printf("    at that rate the event buffer lasts ");
    print_duration(c.ring_seconds);
    putchar('\n');
    print_raises(f, pool, scope, &c);
}

static void print_rule(const struct findings *f, const struct policy_rule *rule) {
    const struct policy_pool *pool = check_pool(&f->policy, rule);
    bool any = false;
    if (!pool) {
        putchar('\n');
        say("rule \"%s\": its connections are left alone", rule->title);
        return;
    }
    putchar('\n');
    say("rule \"%s\", pool \"%s\", %s", rule->title, pool->title, check_policy_name(pool->policy));
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        if (!applies(&f->policy, rule, (enum addr_scope)scope))
            continue;
        print_capacity(f, rule, (enum addr_scope)scope);
        any = true;
    }
    if (!any)
        printf("  no source fits: nothing is spread\n");
}

/* To be copied. */
static void print_missing(const struct missing *m) {
    if (m->count)
        printf("\nto add the missing addresses, until the next boot:\n");
    for (unsigned i = 0; i < m->count && i < MISSING_KEPT; i++)
        say("  %s", m->command[i]);
    if (m->count > MISSING_KEPT)
        printf("  and %u more\n", m->count - MISSING_KEPT);
}

void check_print_text(const struct findings *f) {
    const struct warnings *w = &f->warnings;
    print_head(f);
    for (unsigned i = 0; i < f->policy.n_rules && i < POLICY_RULES; i++)
        print_rule(f, &f->policy.rule[i]);
    if (f->reuse.step_width > 0)
        printf("\nnet.ipv4.ip_local_port_step_width is %lld: connect() searches ports by random strides of up to that, "
               "also in a pool's ranges\n",
               (long long)f->reuse.step_width);
    if (w->count)
        putchar('\n');
    for (unsigned i = 0; i < w->count && i < WARNINGS_KEPT; i++)
        say("warning: %s", w->text[i]);
    if (w->count > WARNINGS_KEPT)
        printf("warning: and %u more\n", w->count - WARNINGS_KEPT);
    print_missing(f->missing);
}

static void json_path(const struct findings *f, const struct policy_rule *rule, enum addr_scope scope, bool first) {
    const struct policy_pool *pool = check_pool(&f->policy, rule);
    unsigned endpoints = rule_endpoints(&f->policy, rule, scope);
    struct capacity c = capacity_of(&f->policy, pool, scope, &f->host.ports, f->close_cells);
    printf("%s{\"scope\":\"%s\",\"sources\":%llu,\"ports\":%llu,\"quadruplets\":%llu,\"per_second\":%.1f,"
           "\"per_second_reuse\":%.1f,\"ring_seconds\":%.1f,\"endpoints\":%u,\"service_quadruplets\":%llu,"
           "\"port_sharing\":\"%s\"}",
           first ? "" : ",", c.own_choice ? "any" : check_scope_name(scope), (unsigned long long)c.sources,
           (unsigned long long)c.ports, (unsigned long long)c.quadruplets, c.per_second,
           tw_reuse_per_second(&f->reuse, is_loopback(scope, &c), c.quadruplets), c.ring_seconds, endpoints,
           (unsigned long long)c.quadruplets * endpoints, pool->exclusive ? "never" : "allowed");
}

static void json_rule(const struct findings *f, const struct policy_rule *rule) {
    const struct policy_pool *pool = check_pool(&f->policy, rule);
    bool first = true;
    check_json_text("{\"rule\":", rule->title);
    check_json_text(",\"pool\":", pool ? pool->title : "");
    printf(",\"action\":\"%s\"", pool ? "spread" : "ignore");
    sizing_json_rule(f, rule);
    printf(",\"capacity\":[");
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        if (!applies(&f->policy, rule, (enum addr_scope)scope))
            continue;
        json_path(f, rule, (enum addr_scope)scope, first);
        first = false;
    }
    printf("]}");
}

void check_print_json(const struct findings *f) {
    const struct warnings *w = &f->warnings;
    check_json_text("{\"config\":", f->where.config);
    check_json_text(",\"instance\":", f->where.instance);
    check_json_text(",\"state_file\":", f->where.state_file);
    printf(
        ",\"mode\":\"%s\",\"canary\":%u,\"config_mode\":\"%s\",\"config_canary\":%u,\"close_cells\":%llu,\"rules\":[",
        override_mode_name(check_mode(f, true)), check_canary(f, true), override_mode_name(check_mode(f, false)),
        check_canary(f, false), (unsigned long long)f->close_cells);
    for (unsigned i = 0; i < f->policy.n_rules && i < POLICY_RULES; i++) {
        if (i)
            putchar(',');
        json_rule(f, &f->policy.rule[i]);
    }
    putchar(']');
    sizing_json(f);
    printf(",\"warnings\":[");
    for (unsigned i = 0; i < w->count && i < WARNINGS_KEPT; i++)
        check_json_text(i ? "," : "", w->text[i]);
    printf("]}\n");
}
