/* facts.h - what a stream of events adds up to, in bounded memory: where the report's numbers come from. */
#ifndef CONNSPREAD_TOOL_REPORT_FACTS_H
#define CONNSPREAD_TOOL_REPORT_FACTS_H

#include "tool/events/format.h"
#include "tool/report/moment.h"
#include "tool/common/table.h"
#include "tool/report/timeline.h"
#include "tool/common/window.h"

enum { REPORT_SETS = 1024, REPORT_HOSTS = 64, REPORT_NAMES = 4, REPORT_NAME = 64 };

/* Keys have no padding that is not zero; their size is a multiple of eight bytes. host: index into facts.host. */
struct destination_key {
    uint64_t netns;
    struct addr peer;
    uint32_t host;
    uint16_t port, zero;
};
struct flow_key { /* both ends and the program; of accepted connections peer is :: and port the local one */
    struct destination_key to;
    char program[EVENT_PROGRAM];
    uint32_t direction;
};
struct route_key { /* from which source */
    struct destination_key to;
    struct addr source;
};
struct incident_key {
    struct destination_key to; /* all zero but netns and host where the cause has nothing to do with the destination */
    struct addr local;         /* where the cause is the local address */
    uint32_t kind, cause;      /* enum event_kind: exhausted or source-down; enum cause */
};

/* The same by the history of a state file, which remembers what the rings have forgotten. */
struct remembered {
    uint64_t connects, connect_us, time_waits, closes, failed, fallback, recovered;
    uint32_t peak; /* quadruplets taken at one time */
};

/* Connects that were made while at least half of their source's ports were taken, by the history. */
struct crowded {
    uint64_t connects, connect_us, first_us, last_us;
    struct addr source; /* of the last of them */
    uint32_t ports;     /* of it */
};

struct destination {
    struct report_entry entry;
    struct destination_key key;
    uint64_t time_waits, failed, fallback, recovered;
    struct window window;   /* TIME-WAITs */
    struct minutes minutes; /* the same */
};

struct flow {
    struct report_entry entry;
    struct flow_key key;
    uint64_t closes[FATES];
    uint64_t failed, fallback, recovered;
    uint64_t first_us, last_us;
    uint64_t age_us;   /* sum over the closes that left a TIME-WAIT */
    uint64_t unspread; /* closes whose connect we only watched, or no rule covered */
    struct crowded crowded;
    struct window window;
    struct remembered history;
};

struct route {
    struct report_entry entry;
    struct route_key key;
    uint64_t time_waits;
    uint64_t full;            /* times a connect found it so */
    uint16_t lowest, highest; /* local ports of its closes */
    uint32_t held;            /* most TIME-WAITs at one time */
    uint64_t first_us, last_us;
    struct window window;
    struct remembered history;
};

/* Names by how often they came; what does not fit is in more. */
struct totals {
    struct {
        char name[REPORT_NAME];
        uint64_t n;
    } top[REPORT_NAMES];
    uint64_t more;
};

struct incident {
    struct report_entry entry;
    struct incident_key key;
    uint64_t failed, fallback, recovered, events; /* events: lines, without their repeats */
    uint64_t first_us, last_us;                   /* of the failures, else of all */
    struct totals programs, destinations;
    struct window failures;   /* its peak: the most in a minute */
    uint32_t peak_waits;      /* most TIME-WAITs at any of its events */
    uint16_t error;           /* errno of the first */
    uint16_t lowest, highest; /* port-busy: local ports that the client had chosen */
    char pool[POLICY_TITLE], rule[POLICY_TITLE];
    char holders[EVENT_TEXT]; /* programs that the recorder found with ports and connections; empty: it found none, or
                                 did not look */
    struct moment first;
    struct {
        uint64_t failed, fallback, recovered;
        uint64_t first_us, last_us;     /* minutes of the failures */
        uint64_t waits[WINDOW_MINUTES]; /* as in first */
        uint64_t connects[WINDOW_MINUTES];
        uint32_t peak;         /* quadruplets of one source taken, in the minutes around the first failure */
        struct totals closers; /* whose TIME-WAITs those of the last two minutes were */
    } history;
};

struct report_host {
    char name[64];
};

struct facts {
    uint64_t events, kinds[EVENT_KINDS];
    uint64_t first_us, last_us;
    uint64_t failed, fallback, recovered;
    uint64_t other_errors; /* of failed: not EADDRNOTAVAIL */
    uint64_t time_waits, passive;
    struct remembered history;
    struct report_host host[REPORT_HOSTS]; /* the last one takes all that come when the others are taken */
    unsigned n_hosts;
    struct report_table destinations, flows, routes, incidents;
    struct timeline timeline;
    struct {
        bool is;
        uint64_t time_us;
        uint32_t host, pid;
        char program[EVENT_PROGRAM];
        uint8_t call, cause;
        bool by_minute; /* the history knows no more */
        struct addr peer;
        uint16_t peer_port;
    } first_failure;
};

/* sets: of eight destinations, a power of two; of programs and sources twice as many, of incidents a 64th. False: no
 * memory. REPORT_SETS: some 15 MB, whatever comes. */
bool facts_init(struct facts *f, size_t sets);
void facts_free(struct facts *f);

/* The first and the last of some moments; 0: there was none. */
static inline void widen_span(uint64_t *first_us, uint64_t *last_us, uint64_t time_us) {
    if (*first_us == 0 || time_us < *first_us)
        *first_us = time_us;
    if (time_us > *last_us)
        *last_us = time_us;
}

/* The incident that an EADDRNOTAVAIL, or a source that is unusable, belongs to; a new one is zero. */
struct incident *facts_incident(struct facts *f, const struct destination_key *to, const struct addr *local,
                                enum event_kind kind, unsigned cause);

uint32_t facts_host(struct facts *f, const char name[64]);

/* Where to an event of this context was; the incident that an exhausted or source-down event belongs to. */
struct destination_key facts_destination(struct facts *f, const struct event *e, const struct event_context *c);
struct incident *facts_incident_of(struct facts *f, const struct destination_key *to, const struct event_record *r);

/* The closes of the minute before that left a TIME-WAIT, from the sources that the event is about; from all, where it
 * names none. */
struct logged facts_logged(const struct facts *f, const struct destination_key *to, const struct event_record *r);

/* The event that an incident begins with, and the minutes before it. */
void facts_moment(const struct facts *f, const struct destination_key *to, const struct event_record *r,
                  struct moment *m);

/* TIME-WAITs that it has at this moment of the stream. */
uint32_t facts_held(const struct route *r);

void tally_add(struct totals *t, const char *name, uint64_t n);
/* The name that came most often; "" when there is none. */
const char *tally_leader(const struct totals *t);

/* What the events of an incident stand for: themselves and their repeats. */
uint64_t incident_count(const struct incident *i);

/* NUL-terminated text of a program's field. */
void program_text(char out[EVENT_PROGRAM + 1], const char program[EVENT_PROGRAM]);

#endif
