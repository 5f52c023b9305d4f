/* history.h - what flows did in each minute of the last 24 hours.
 *
 * A flow is a (network namespace, source, destination, program) that connects; source :: is the kernel's choice.
 * Counted are the connects that the shim saw, and the closes of what they made: by the process that connected, or by
 * one that inherited it from there. A minute of the day has a page of its own in the state file: 31 flows, first come,
 * each in one of eight places; further pages (history_pages.h), as long as the file has room; and a rest that takes
 * everything else, so that sums over a minute are right however many flows there are. Of those in the rest, one whose
 * turn comes at each 64th count may take the place of a flow that did next to nothing; what either did before stays in
 * the rest.
 *
 * Lock-free; the page of a minute serves again a day later, entry by entry, each claimed by compare-and-swap on a word
 * that holds the minute. A writer that sleeps in between adds at worst one wrong count; one that is killed while it
 * makes an entry costs this minute one place. Two that make the same entry at the same moment make two: readers add
 * them up. What is written here runs in the client: async-signal-safe, errno untouched, no system call. */
#ifndef CONNSPREAD_STATE_HISTORY_H
#define CONNSPREAD_STATE_HISTORY_H

#include "state/event.h"
#include "state/state.h"

/* --- writing (shim) --- */

/* key: history_key. The pointers are read only while an entry is made. program: NUL-terminated. */
struct history_flow {
    uint64_t netns;
    const struct addr *source;
    const struct endpoint *destination;
    const char *program;
    uint32_t key;
};

/* Hash of a program's name, as far as EVENT_PROGRAM bytes go. For history_key; the same all through a process. */
uint64_t history_program(const char *program);

/* pair: pair_key(netns, source, destination). Never 0. */
uint32_t history_key(uint64_t pair, uint64_t program);

/* The minute since 1970 at now (CLOCK_MONOTONIC, ns). Asks CLOCK_REALTIME once a minute. */
uint32_t history_minute(uint64_t now);

/* One connect, whatever came of it. True for the first and each 16th of the flow in this minute: time for
 * history_peak. */
bool history_connect(const struct state *s, const struct history_flow *f, uint32_t minute, uint64_t elapsed_ns);

void history_count(const struct state *s, const struct history_flow *f, uint32_t minute, enum history_counter counter);

/* Quadruplets taken at this moment through this instance: open and in TIME-WAIT. The highest of a minute stays. */
void history_peak(const struct state *s, const struct history_flow *f, uint32_t minute, uint32_t taken);

/* The close of h, an entry of chunk, whose process cannot record it itself any more. */
void history_left(const struct state *s, const struct open_chunk *chunk, const struct open_entry *h, bool time_wait,
                  uint32_t minute);

struct history_counts {
    uint64_t connects;   /* whatever came of them */
    uint64_t connect_us; /* sum of the time inside connect(), each at most 60 s */
    uint64_t count[HISTORY_COUNTERS];
    uint32_t peak; /* of quadruplets taken at one time; 0: not known */
};

/* What f's program did to f's destination in this minute and the one before, from whatever source, as far as it has
 * entries: for the shim, when something has gone wrong. */
void history_recent(const struct state *s, const struct history_flow *f, uint32_t minute, struct history_counts *out);

/* --- reading (tool) --- */

struct history_record {
    uint64_t netns;
    struct addr source; /* ::, the kernel's choice */
    struct endpoint destination;
    char program[EVENT_PROGRAM + 1]; /* printable */
    struct history_counts n;
};

/* Of as many flows as a minute's pages have. */
enum { HISTORY_RECORDS = HISTORY_FLOWS << HISTORY_DEPTH, HISTORY_INDEX = 2 * HISTORY_RECORDS };

struct history_view {
    uint32_t minute; /* since 1970 */
    unsigned flows;  /* in record[], each of them once, in no order */
    struct history_record record[HISTORY_RECORDS];
    struct history_counts rest;    /* of what has no record; peak 0 */
    uint16_t index[HISTORY_INDEX]; /* record, plus 1, by the flow's key */
};

struct history_reader {
    const struct state *state;
    uint32_t next, last;             /* minutes */
    uint16_t first[HISTORY_MINUTES]; /* each minute's further pages: a number, plus 1, and ... */
    uint16_t after[HISTORY_FURTHER]; /* ... that of the next */
};

#endif
