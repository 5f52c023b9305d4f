#include "tool/check/sizing.h"

#include <stdio.h>

#include "text/parse.h"
#include "tool/check/missing.h"
#include "tool/check/names.h"

static void json_ports(const struct findings *f, const struct policy_pool *pool) {
    struct port_count ports = pool_ports(&f->policy, pool, &f->host.ports);
    printf(",\"ports\":%u,\"ports_configured\":%u,\"ports_outside\":%u,\"per_second_of_each_source\":%.1f",
           ports.usable, ports.configured, ports.outside, (double)ports.usable / TIME_WAIT_SECONDS);
}

static void json_sources(const struct findings *f, const struct policy_pool *pool) {
    char text[ADDR_TEXT];
    const char *comma = "";
    printf(",\"sources\":[");
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        struct policy_span span = pool_sources(&f->policy, pool, (enum addr_scope)scope);
        for (unsigned i = 0; i < span.count; i++, comma = ",") {
            const struct policy_source *s = &f->policy.source[span.first + i];
            format_address(text, &s->first);
            printf("%s{\"scope\":\"%s\",\"first\":\"%s\",\"count\":%u,\"missing\":%u}", comma,
                   check_scope_name((enum addr_scope)scope), text, s->count,
                   pool->freebind ? 0 : missing_of(s, &f->host));
        }
    }
    putchar(']');
}

static unsigned reserved_ports(const struct host_ports *ports) {
    unsigned n = 0;
    for (unsigned port = ports->ephemeral.low; port <= ports->ephemeral.high; port++)
        n += port_in(&ports->reserved, port);
    return n;
}

void sizing_json(const struct findings *f) {
    const struct host_ports *ports = &f->host.ports;
    printf(",\"time_wait_seconds\":%d,\"ephemeral\":{\"low\":%u,\"high\":%u,\"reserved\":%u},\"pools\":[",
           TIME_WAIT_SECONDS, ports->ephemeral.low, ports->ephemeral.high, reserved_ports(ports));
    for (unsigned i = 0; i < f->policy.n_pools && i < POLICY_POOLS; i++) {
        const struct policy_pool *pool = &f->policy.pool[i];
        check_json_text(i ? ",{\"pool\":" : "{\"pool\":", pool->title);
        printf(",\"policy\":\"%s\",\"freebind\":%s", check_policy_name(pool->policy),
               pool->freebind ? "true" : "false");
        json_ports(f, pool);
        json_sources(f, pool);
        putchar('}');
    }
    printf("],\"missing\":%u,\"add_addresses\":[", f->missing->count);
    for (unsigned i = 0; i < f->missing->count && i < MISSING_KEPT; i++)
        check_json_text(i ? "," : "", f->missing->command[i]);
    putchar(']');
}

static void json_targets(const struct policy *p, const char *key, struct policy_span span) {
    char text[ADDR_TEXT];
    printf(",\"%s\":[", key);
    for (unsigned i = 0; i < span.count && span.first + i < POLICY_TARGETS; i++) {
        const struct policy_target *t = &p->target[span.first + i];
        bool v4 = addr_is_v4(&t->prefix);
        format_address(text, &t->prefix);
        printf(i ? ",\"" : "\"");
        if (t->any)
            printf("*");
        else
            printf(v4 ? "%s/%d" : "[%s/%d]", text, v4 ? t->length - 96 : t->length);
        printf(":%u-%u\"", t->ports.low, t->ports.high);
    }
    putchar(']');
}

void sizing_json_rule(const struct findings *f, const struct policy_rule *rule) {
    json_targets(&f->policy, "to", rule->to);
    json_targets(&f->policy, "except", rule->except);
    printf(",\"attempts\":%u,\"wait_ms\":%u,\"on_exhausted\":\"%s\"", rule->attempts, rule->wait_ms,
           rule->on_exhausted == EXHAUSTED_ERROR ? "error" : "fallback");
}

void warn_of_snat(const struct findings *f, unsigned ports, struct warnings *out) {
    const struct policy *p = &f->policy;
    for (unsigned i = 0; i < p->n_rules && i < POLICY_RULES; i++) {
        const struct policy_pool *pool = check_pool(p, &p->rule[i]);
        if (!pool || !rule_reaches(p, &p->rule[i], SCOPE_V4))
            continue;
        struct capacity c = capacity_of(p, pool, SCOPE_V4, &f->host.ports, f->close_cells);
        double gateway = (double)ports / SNAT_SECONDS;
        if (c.per_second > gateway)
            warning_add(out,
                        "rule \"%s\": can make %.0f connections a second to a destination; a gateway with %u ports for "
                        "it carries %.0f (it keeps each %d s), then drops SYNs: timeouts. try: %.0f ports",
                        p->rule[i].title, c.per_second, ports, gateway, SNAT_SECONDS, c.per_second * SNAT_SECONDS);
    }
}
