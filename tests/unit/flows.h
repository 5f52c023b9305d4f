/* flows.h - flows to fill a history with, and what a reader finds of them. */
#ifndef CONNSPREAD_TESTS_UNIT_FLOWS_H
#define CONNSPREAD_TESTS_UNIT_FLOWS_H

#include <string.h>

#include "state/history.h"
#include "state/pair.h"
#include "state/history_reader.h"

static struct state state;
static struct history_view view;

/* Flow number n: they differ in one of their four parts. */
struct flow {
    struct addr source;
    struct endpoint destination;
    char program[24];
    struct history_flow f;
};

static inline struct flow *flow(unsigned n) {
    static _Thread_local struct flow flow;
    flow = (struct flow){
        .source = addr_from_v4(0x0a000001 + n / 4 % 64),
        .destination = {.addr = addr_from_v4(0x0a010000 + n / 256), .port = (uint16_t)(80 + n % 2)},
    };
    strcpy(flow.program, n / 2 % 2 ? "php-fpm" : "a-name-of-just-twenty");
    uint64_t pair = pair_key(1, &flow.source, &flow.destination);
    flow.f = (struct history_flow){.netns = 1,
                                   .source = &flow.source,
                                   .destination = &flow.destination,
                                   .program = flow.program,
                                   .key = history_key(pair, history_program(flow.program))};
    return &flow;
}

static inline bool connect_in(uint32_t minute, unsigned n) {
    return history_connect(&state, &flow(n)->f, minute, 7000);
}

static inline void count_in(uint32_t minute, unsigned n, unsigned counter) {
    history_count(&state, &flow(n)->f, minute, (enum history_counter)counter);
}

/* The view of one minute; false: nothing there. */
static inline bool look_at(uint32_t minute) {
    struct history_reader r;
    history_reader_init(&r, &state, UINT32_MAX);
    while (history_next(&r, &view))
        if (view.minute == minute)
            return true;
    return false;
}

static inline const struct history_record *record_of_flow(unsigned n) {
    struct flow *want = flow(n);
    for (unsigned i = 0; i < view.flows; i++) {
        const struct history_record *r = &view.record[i];
        if (addr_compare(&r->source, &want->source) == 0 && r->destination.port == want->destination.port &&
            addr_compare(&r->destination.addr, &want->destination.addr) == 0 &&
            strncmp(r->program, want->program, EVENT_PROGRAM) == 0)
            return r;
    }
    return NULL;
}

static inline struct history_counts total(void) {
    struct history_counts sum = view.rest;
    for (unsigned i = 0; i < view.flows; i++) {
        sum.connects += view.record[i].n.connects;
        sum.connect_us += view.record[i].n.connect_us;
        for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
            sum.count[c] += view.record[i].n.count[c];
    }
    return sum;
}

#endif
