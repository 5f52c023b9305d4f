/* every_event ours|otel|ecs: prints events of each kind as JSON Lines, under the names of one schema: of each kind one
 * in which everything is 0, one in which everything is as large as it can be, and many in which each member is any of
 * what it can be, or absent. The same at every run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/events/format.h"
#include "tool/events/json.h"
#include "xorshift.h"

enum { ROUNDS = 24 };

static void fill(void *memory, size_t size, unsigned round) {
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)memory)[i] = (unsigned char)(round == 0 ? 0 : round == 1 ? 0xff : random_next() >> 20);
}

/* What a reader of rings takes for granted: words that exist. */
static void make_whole(struct event_record *r, unsigned kind) {
    struct event *e = &r->e;
    struct event_exhausted *x = &r->u.exhausted;
    bool trace = kind == EVENT_TRACE_CONNECT;
    e->kind = (uint8_t)kind;
    e->arm %= ARMS;
    e->direction = kind == EVENT_HOLDERS ? OUTBOUND : (uint8_t)(e->direction % DIRECTIONS); /* it is of no connection */
    e->via = (uint8_t)(e->via % (kind == EVENT_TIME_WAIT_GONE ? (unsigned)GONE_REASONS : (unsigned)VIAS));
    e->phase %= TCP_STATES;
    e->fate %= FATES;
    e->decided_by %= DECIDED_BYS;
    e->verified %= VERIFIEDS;
    if (!event_has_sources((uint8_t)kind))
        return;
    x->n_sources %= EXHAUSTED_SOURCES + 1;
    x->n_endpoints = (uint8_t)(x->n_endpoints % (EXHAUSTED_SOURCES + 1 - x->n_sources));
    x->call %= CALLS;
    x->cause = (uint8_t)(x->cause % (trace ? (unsigned)REASONS : (unsigned)CAUSES));
    x->outcome = (uint8_t)(x->outcome % (trace ? (unsigned)DECISIONS : (unsigned)OUTCOMES));
    x->proof %= PROOFS;
    x->bound_counted %= COUNTEDS;
    for (unsigned i = 0; i < EXHAUSTED_SOURCES; i++) {
        x->source[i].cause = (uint16_t)(x->source[i].cause % (trace ? (unsigned)SAIDS : (unsigned)CAUSES));
        x->source[i].counted %= COUNTEDS;
    }
}

int main(int argc, char **argv) {
    static const struct event_context context = {
        .epoch = 0x0123456789abcdef, .host = "web1", .instance = "i", .rule = "r", .pool = "p"};
    enum event_schema schema = argc < 2                       ? SCHEMA_OURS
                               : strcmp(argv[1], "otel") == 0 ? SCHEMA_OTEL
                               : strcmp(argv[1], "ecs") == 0  ? SCHEMA_ECS
                                                              : SCHEMA_OURS;
    char line[EVENT_LINE_MAX];
    for (unsigned kind = EVENT_NONE + 1; kind < EVENT_KINDS; kind++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct event_record r;
            fill(&r, sizeof r, round);
            if (round % 4 == 2) /* without what may be absent */
                memset(&r.u, 0, sizeof r.u);
            make_whole(&r, kind);
            if (event_json_as(schema, &r, &context, line, sizeof line) < 0)
                return 1;
            puts(line);
        }
    }
    return 0;
}
