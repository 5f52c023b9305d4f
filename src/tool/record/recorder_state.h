/* recorder_state.h - what the parts of a recorder share. */
#ifndef CONNSPREAD_TOOL_RECORD_RECORDER_STATE_H
#define CONNSPREAD_TOOL_RECORD_RECORDER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tool/reader/source.h"
#include "tool/reader/tail.h"
#include "tool/reaper/aftermath.h"
#include "tool/reaper/reaper_state.h"
#include "tool/record/batch.h"
#include "tool/record/follow.h"
#include "tool/record/journal.h"
#include "tool/record/logfile.h"
#include "tool/record/snapshot.h"

struct recorder {
    struct source *source;
    const char *state_file;
    bool keep, named;    /* named: log.file is the caller's own choice, and stays */
    uint64_t generation; /* of the policy that log.file was read from */
    uint64_t now;        /* CLOCK_MONOTONIC */
    uint64_t reaped, followed, settled, looked, busy, began, deadline;
    uint64_t wanted;
    uint32_t client;
    unsigned without_clients;
    uint64_t unwritten_since; /* the last client has gone, and the file does not take what is left; 0: it does */
    bool marked;
    struct tail_mark mark;
    uint64_t settle_to;   /* a line that says what was lost up to there is on its way; 0: none */
    uint64_t losing;      /* how many it says */
    uint64_t overwritten; /* reader.lost when that was last said */
    struct batch batch;
    struct journal journal;
    struct reaper reaper;
    struct aftermath *aftermath; /* NULL: no memory */
    struct snapshot snapshot;
    struct tail tail;
    struct logfile out;
    struct follow follow;
};

#endif
