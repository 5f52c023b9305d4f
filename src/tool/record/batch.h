/* batch.h - what the recorder has read out of the rings and not written yet. */
#ifndef CONNSPREAD_TOOL_RECORD_BATCH_H
#define CONNSPREAD_TOOL_RECORD_BATCH_H

#include "tool/reader/tail.h"
#include "tool/reaper/aftermath.h"
#include "tool/record/journal.h"

enum { BATCH = 2048 };

struct batch {
    unsigned n, next;      /* records, and those dealt with */
    uint16_t order[BATCH]; /* by number */
    /* Those not asked about yet, and those whose TIME-WAIT was not there yet. */
    uint16_t waiting[BATCH];
    unsigned unripe;
    uint64_t read, look_at; /* CLOCK_MONOTONIC, ns */
    struct event_record record[BATCH];
};

void batch_read(struct batch *b, struct tail *tail, bool give_up);

/* A few round trips after a close its TIME-WAIT is there, and its line can say so. A batch waits for that: not for
 * long, not while much is to be read, and not with last. False: not yet. a: NULL: the kernel is not asked. What j has
 * was written by an earlier recorder. */
bool batch_ripe(struct batch *b, struct aftermath *a, const struct journal *j, bool last);

#endif
