/* sample_events.h - a close and an exhausted event as the writer of lines and their reader are tested with. */
#ifndef CONNSPREAD_TESTS_UNIT_SAMPLE_EVENTS_H
#define CONNSPREAD_TESTS_UNIT_SAMPLE_EVENTS_H

#include "tool/events/format.h"

static const struct event_context context = {
    .epoch = 0x0123456789abcdef, .host = "web1", .instance = "redis", .rule = "redis", .pool = "lo"};

static inline struct event_record close_event(void) {
    struct event_record r = {0};
    r.e = (struct event){
        .time_us = 1795231679123456, /* 2026-11-21T03:27:59.123456Z */
        .seq = 42,
        .netns = 1,
        .age_us = 12345,
        .local = addr_from_v4(0x0a00000b),
        .peer = addr_from_v4(0x0a020001),
        .pid = 123,
        .tid = 124,
        .program = "curl",
        .local_port = 40000,
        .peer_port = 6379,
        .kind = EVENT_TIME_WAIT,
        .phase = TCP_STATE_ESTABLISHED,
    };
    return r;
}

static inline struct event_record exhausted_event(unsigned sources) {
    struct event_record r = close_event();
    r.e.kind = EVENT_EXHAUSTED;
    r.e.phase = TCP_STATE_UNKNOWN;
    r.e.local = (struct addr){0};
    r.e.local_port = 0;
    r.u.exhausted = (struct event_exhausted){
        .elapsed_us = 1500, .attempts = 3, .cause = CAUSE_RANGE_FULL, .outcome = OUTCOME_FAILED};
    r.u.exhausted.n_sources = (uint16_t)sources;
    for (unsigned i = 0; i < sources && i < EXHAUSTED_SOURCES; i++)
        r.u.exhausted.source[i] = (struct exhausted_source){.address = addr_from_v4(0x0a00000b + i),
                                                            .ports = {32768, 60999},
                                                            .open = i,
                                                            .time_wait = 28000,
                                                            .cause = CAUSE_RANGE_FULL};
    return r;
}

#endif
