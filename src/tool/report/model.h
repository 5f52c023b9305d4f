/* model.h - the parts of `connspread report`: events in, facts, findings, and two ways to print them. */
#ifndef CONNSPREAD_TOOL_REPORT_MODEL_H
#define CONNSPREAD_TOOL_REPORT_MODEL_H

#include "tool/report/conclude.h"
#include "tool/host/holders.h"
#include "tool/report/facts.h"
#include "tool/report/here.h"
#include "tool/report/input.h"
#include "text/parse.h"

enum { REPORT_FINDINGS = 32, REPORT_CLASSES = 5, REPORT_WORDS = 2048, REPORT_BECAUSE = 10, REPORT_QUIET = 4 };

/* One incident, understood. */
struct finding {
    const struct incident *incident; /* in the facts */
    const char *host;
    struct evidence evidence;
    struct conclusion conclusion;
    uint64_t failed, first_us, last_us; /* by the events or by the history, whichever knows more */
    char program[EVENT_PROGRAM + 1];    /* whom it hit most */
    char culprit[EVENT_PROGRAM + 1];    /* whose TIME-WAITs took the ports; empty: not known */
    bool shared;                        /* they are several programs', none of which has more than half */
    char destination[ENDPOINT_TEXT];    /* the one hit most; empty: not known */
    char source[ADDR_TEXT];             /* the local address it is about; empty: none in particular */
    uint64_t carried, carried_last_us;  /* connections that this source carried */
    uint64_t counted, limit, mean_us;   /* of a quiet one: closes, or connects; what sysctl allows; of each connect */
    /* Of what the shares name, the process that has most of it while the report is made, on this very host; pid 0: not
     * known. */
    struct holder binder, connected;
    bool source_is_back; /* it was missing, and is an address of its host again */
};

struct report {
    uint64_t since_us, until_us; /* inclusive */
    struct report_inputs inputs;
    struct facts facts;
    struct here here;
    uint64_t now_us;
    bool good; /* all inputs could be read */
    struct {
        uint64_t connects, connect_us;
    } by_occupancy[REPORT_CLASSES]; /* under 25, 50, 75, 90 and from 90 % of a source's ports; by the history */
    struct finding finding[REPORT_FINDINGS]; /* the worst first */
    unsigned n_findings;
    struct incident quiet[REPORT_QUIET]; /* of the findings that no event tells */
    unsigned n_quiet;
    int write_error; /* errno of printing it */
};

static inline uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Of so many percent of a source's ports: where in by_occupancy. */
static inline unsigned report_class(uint64_t percent) {
    return percent < 25 ? 0 : percent < 50 ? 1 : percent < 75 ? 2 : percent < 90 ? 3 : 4;
}

/* Failures, connections saved, closes: by the events or by the history, whichever knows more. */
static inline uint64_t report_failed(const struct report *r) {
    return larger(r->facts.failed, r->facts.history.failed);
}
static inline uint64_t report_saved(const struct report *r) {
    return larger(r->facts.fallback + r->facts.recovered, r->facts.history.fallback + r->facts.history.recovered);
}
static inline uint64_t flow_waits(const struct flow *f) {
    return larger(f->closes[FATE_TIME_WAIT], f->history.time_waits);
}
static inline uint64_t flow_otherwise(const struct flow *f) {
    return larger(f->closes[FATE_PASSIVE] + f->closes[FATE_RESET] + f->closes[FATE_SHARED] + f->closes[FATE_NONE],
                  f->history.closes);
}
static inline uint64_t flow_failed(const struct flow *f) {
    return larger(f->failed, f->history.failed);
}
static inline uint64_t route_waits(const struct route *r) {
    return larger(r->time_waits, r->history.time_waits);
}
static inline uint64_t route_peak(const struct route *r) {
    return larger(r->held, r->history.peak);
}
/* ports: what a source there has by its host's settings. A pool may name others. */
static inline uint64_t route_ports(const struct route *r, uint64_t ports) {
    return larger(ports, route_peak(r));
}
static inline uint64_t bucket_waits(const struct timeline_bucket *b) {
    return larger(b->time_wait, b->history.time_wait);
}
static inline uint64_t bucket_failed(const struct timeline_bucket *b) {
    return larger(b->failed, b->history.failed);
}
static inline uint64_t bucket_recovered(const struct timeline_bucket *b) {
    return larger(b->fallback + b->recovered, b->history.recovered);
}
/* The history knows nothing finer than a minute. */
static inline uint64_t report_row_us(const struct report *r) {
    return r->facts.history.connects + r->facts.history.time_waits ? 60000000 : 0;
}
static inline uint64_t moment_waits(const struct incident *i, unsigned minute) {
    return larger(i->first.waits[minute], i->history.waits[minute]);
}

#endif
