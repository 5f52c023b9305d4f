/* round.h - one look at the whole open table: whose each chunk is, what its owner left in it, and what is made of that.
 */
#ifndef CONNSPREAD_TOOL_REAPER_ROUND_H
#define CONNSPREAD_TOOL_REAPER_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"
#include "tool/reaper/reaped.h"
#include "tool/reaper/reaper_state.h"

/* What an event has of its chunk. */
struct label {
    uint64_t netns;
    char program[sizeof((struct open_chunk *)0)->program];
    uint8_t arm;
};

struct round {
    struct reaper *h;
    const struct state *s;
    struct preview *preview; /* s is a copy, and the events go here */
    uint64_t now_ns;         /* CLOCK_REALTIME */
    struct reaped *left;
    unsigned n, n_stays, room;
    unsigned chunks;           /* of the file */
    struct open_chunk **chunk; /* [chunks], found once; NULL: there is none of this number. Not of a preview */
    struct label *label;       /* [chunks] */
    bool *taken, *stays;       /* [chunks] */
    struct open_chunk head;    /* of the chunk that is settled: its label */
    /* The last question about a process: chunks of one process lie beside each other. */
    uint32_t last_pid;
    uint64_t last_noted;
    bool last_lives;
    unsigned waits; /* for processes that may not have written their birth yet */
};

/* Room for each chunk that the file has by now. False: no memory. */
bool round_begin(struct round *r);
void round_end(struct round *r);

/* A chunk's owner word, and what it becomes while we reap what that process left. */
uint64_t round_owner(const struct round *r, unsigned chunk);
uint64_t round_mark(uint32_t pid);

/* Does the process live that has this chunk? */
bool round_lives(struct round *r, uint32_t pid, const struct open_chunk *chunk);

/* Takes the chunks of the dead, and copies what is in them; then makes events of that. Of a preview the events take the
 * place of what they were made from, and left is its then. */
void round_visit(struct round *r);
void round_settle(struct round *r);

/* The chunks that were taken, to the next owner, or the next reaper. */
void round_give_back(const struct round *r);

#endif
