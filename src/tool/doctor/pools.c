#include "tool/doctor/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/interfaces.h"
#include "config/load.h"
#include "text/parse.h"
#include "tool/common/locate.h"
#include "tool/host/host.h"

/* Addresses of one range that are tried; a /8 would take minutes. */
enum { PROBES = 256, ERRORS = 256 };

static void note(struct pool_facts *p, const struct addr *a, const char *pool, const char *fault, bool lost) {
    char text[ADDR_TEXT];
    p->lost += lost;
    if (p->faults++ >= POOL_FAULTS)
        return;
    format_address(text, a);
    snprintf(p->fault[p->faults - 1], sizeof p->fault[0], "%s of pool \"%s\" is %s", text, pool, fault);
}

static void look_at_range(struct pool_facts *out, const struct host *h, const struct policy_pool *pool,
                          const struct policy_source *source) {
    for (uint32_t i = 0; i < source->count && i < PROBES; i++) {
        struct addr a = policy_source_at(source, i);
        const char *fault = interface_fault(&a);
        out->addresses++;
        if (fault)
            note(out, &a, pool->title, fault, strncmp(fault, "deprecated", 10) != 0);
        else if (addr_scope(&a) != SCOPE_V4_LOOPBACK && !host_has(h, &a) && !pool->freebind &&
                 !host_can_bind(h, &a, source->interface))
            note(out, &a, pool->title, "not on this host: removed, or not added yet", true);
    }
}

static void look_at_policy(struct pool_facts *out, const struct policy *p) {
    const char *what;
    struct host *h = calloc(1, sizeof *h);
    if (h)
        (void)host_look(h, &what);
    for (unsigned i = 0; h && i < p->n_pools && i < POLICY_POOLS; i++)
        for (int scope = 0; scope < SCOPE_COUNT; scope++) {
            struct policy_span span = pool_sources(p, &p->pool[i], (enum addr_scope)scope);
            for (unsigned j = 0; j < span.count; j++)
                look_at_range(out, h, &p->pool[i], &p->source[span.first + j]);
        }
    free(h);
}

void doctor_look_at_pools(struct host_facts *f, const struct chosen *chosen) {
    struct location where;
    char error[LOCATE_ERROR], errors[ERRORS];
    struct policy *p = calloc(1, sizeof *p);
    if (p && locate(&where, chosen->config, chosen->instance, error) && where.config[0]) {
        f->pools.looked_at = true;
        snprintf(f->pools.config, sizeof f->pools.config, "%.*s", (int)sizeof f->pools.config - 1, where.config);
        f->pools.refused = config_load(where.config, p, errors, sizeof errors) > 0;
        if (!f->pools.refused)
            look_at_policy(&f->pools, p);
    }
    free(p);
}

void doctor_judge_pools(const struct host_facts *f, struct findings *out) {
    const struct pool_facts *p = &f->pools;
    char faults[POOL_FAULTS * POOL_FAULT_TEXT] = "";
    size_t at = 0;
    if (!p->looked_at)
        return;
    struct finding *found = findings_add(out,
                                         p->refused || p->lost ? SEVERITY_ERROR
                                         : p->faults           ? SEVERITY_WARNING
                                                               : SEVERITY_OK,
                                         "pool-addresses");
    if (p->refused) {
        finding_reason(found, "%s is refused, so clients run without it.", p->config);
        finding_remedy(found, "connspread check -c %s names each mistake.", p->config);
        return;
    }
    if (p->faults == 0) {
        finding_reason(found, "All of the pools' addresses (%u) in %s can be used.", p->addresses, p->config);
        return;
    }
    for (unsigned i = 0; i < p->faults && i < POOL_FAULTS && at < sizeof faults; i++)
        at += (size_t)snprintf(faults + at, sizeof faults - at, "%s%s", i ? "; " : "", p->fault[i]);
    finding_reason(found, "%u of the %u addresses of the pools of %s: %s%s.", p->faults, p->addresses, p->config,
                   faults, p->faults > POOL_FAULTS ? "; and others" : "");
    finding_remedy(found,
                   "Find out what took them away (a failover, a lease, a network manager), or take them out of the "
                   "pool and connspread reload; ip addr shows their state.");
}
