/* many_events COUNT [HOST]: prints COUNT events as JSON Lines: two hours of a busy host, the same at every run. Nine in
 * ten are closes that left a TIME-WAIT, of 24 programs from 8 sources to 3,000 destinations, most of them to a few;
 * each 5,000th is an EADDRNOTAVAIL, all of them of "hog" towards 10.2.0.1:6379. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/events/format.h"
#include "tool/events/json.h"
#include "xorshift.h"

static const uint64_t begin_us = 1795231679000000, span_us = 7200000000; /* from 2026-11-21T03:27:59Z on */

static void make_close(struct event_record *r) {
    uint64_t n = random_next();
    unsigned rank = n % 100 < 70 ? (unsigned)(n >> 8) % 8 : (unsigned)(n >> 8) % 3000;
    snprintf(r->e.program, sizeof r->e.program, "worker-%u", rank % 24);
    if (rank == 0)
        memcpy(r->e.program, "hog", sizeof "hog");
    r->e.kind = n >> 40 & 15 ? EVENT_TIME_WAIT : EVENT_CLOSE;
    r->e.fate = r->e.kind == EVENT_TIME_WAIT ? FATE_TIME_WAIT : FATE_PASSIVE;
    r->e.phase = r->e.kind == EVENT_TIME_WAIT ? TCP_STATE_ESTABLISHED : TCP_STATE_CLOSE_WAIT;
    r->e.local = addr_from_v4(0x0a00000bu + (uint32_t)(n >> 24) % 8);
    r->e.local_port = (uint16_t)(32768 + (n >> 32) % 28232);
    r->e.peer = addr_from_v4(0x0a020001u + rank);
    r->e.peer_port = 6379;
    r->e.age_us = (n >> 20) % 5000000;
}

static void make_exhausted(struct event_record *r) {
    struct event_exhausted *x = &r->u.exhausted;
    r->e.kind = EVENT_EXHAUSTED;
    memcpy(r->e.program, "hog", sizeof "hog");
    r->e.peer = addr_from_v4(0x0a020001u);
    r->e.peer_port = 6379;
    *x = (struct event_exhausted){
        .attempts = 8, .elapsed_us = 900, .cause = CAUSE_RANGE_FULL, .outcome = OUTCOME_FAILED, .n_sources = 8};
    for (unsigned i = 0; i < 8; i++)
        x->source[i] = (struct exhausted_source){.address = addr_from_v4(0x0a00000bu + i),
                                                 .ports = {32768, 60999},
                                                 .open = 40 + i,
                                                 .time_wait = 28192 - i,
                                                 .cause = CAUSE_RANGE_FULL};
}

int main(int argc, char **argv) {
    static char line[EVENT_LINE_MAX];
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    struct event_context context = {.epoch = 0x0123456789abcdef, .instance = "redis", .rule = "redis", .pool = "redis"};
    snprintf(context.host, sizeof context.host, "%s", argc > 2 ? argv[2] : "web1");
    for (uint64_t i = 0; i < count; i++) {
        struct event_record r = {.e = {.seq = i, .netns = 1, .pid = 1000, .tid = 1000}};
        r.e.time_us = begin_us + (uint64_t)((double)i / (double)count * (double)span_us);
        if (i % 5000 == 4999)
            make_exhausted(&r);
        else
            make_close(&r);
        int length = event_json(&r, &context, line, sizeof line);
        if (length < 0)
            return 1;
        line[length] = '\n';
        (void)fwrite_unlocked(line, 1, (size_t)length + 1, stdout);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
