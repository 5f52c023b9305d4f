/* marked_policy.h - policies and matches that show whether they are whole. */
#ifndef CONNSPREAD_TESTS_UNIT_MARKED_POLICY_H
#define CONNSPREAD_TESTS_UNIT_MARKED_POLICY_H

#include <check.h>
#include <stdio.h>

#include "policy/policy.h"

/* One rule, whose every number is mark. */
static inline void mark_policy(struct policy *p, uint32_t mark) {
    policy_default(p);
    p->origin = (struct policy_origin){.device = mark, .inode = mark, .size = mark, .mtime_ns = mark};
    p->canary = (uint8_t)(mark % 101);
    p->log_closes = p->log_inbound = p->log_verify = p->canary_by = (uint8_t)(mark % 101);
    p->rule[0].wait_ms = p->pool[0].reuse_after_ms = mark;
    p->rule[0].attempts = (uint8_t)(1 + mark % RULE_ATTEMPTS_MAX);
    p->pool[0].sources[SCOPE_V4] = (struct policy_span){.first = (uint16_t)(mark % 100), .count = 8};
    p->pool[0].total[SCOPE_V4] = 8;
    p->pool[0].ports = (struct policy_span){.first = 0, .count = 1};
    /* All targets are looked at before the last one fits: a match takes about as long as a publication. */
    p->n_targets = POLICY_TARGETS;
    p->rule[0].to = (struct policy_span){.first = 3, .count = POLICY_TARGETS - 3};
    p->target[POLICY_TARGETS - 1] = p->target[0];
    p->n_sources = POLICY_SOURCES;
    p->n_ports = 1;
    p->ports[0] = (struct port_range){.low = (uint16_t)(1 + mark % 60000), .high = 65535};
    for (unsigned i = 0; i < POLICY_SOURCES; i++)
        p->source[i] = (struct policy_source){.first = addr_from_v4(0x0a000000 + mark), .count = 1};
    (void)snprintf(p->program[POLICY_PROGRAMS - 1], POLICY_PROGRAM, "%u", mark);
}

static inline void assert_whole_plan(const struct match *match) {
    uint32_t mark = match->wait_ms;
    struct addr source = addr_from_v4(0x0a000000 + mark);
    ck_assert(match->matched);
    ck_assert_uint_eq(match->reuse_after_ms, mark);
    ck_assert_uint_eq(match->attempts, 1 + mark % RULE_ATTEMPTS_MAX);
    ck_assert_uint_eq(match->n_ports, 1);
    ck_assert_uint_eq(match->ports[0].low, 1 + mark % 60000);
    ck_assert_uint_eq(match->n_sources, 8);
    for (unsigned i = 0; i < match->n_sources; i++)
        ck_assert_int_eq(addr_compare(&match->source[i].first, &source), 0);
}

#endif
