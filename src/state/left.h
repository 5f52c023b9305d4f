/* left.h - a connection of the open table whose process could not see it closed: how its end is counted and told. The
 * process's next image (close/after_exec.h) and the tool (tool/reaper/reaper.h) find such connections; both come here.
 *
 * Async-signal-safe, lock-free. */
#ifndef CONNSPREAD_STATE_LEFT_H
#define CONNSPREAD_STATE_LEFT_H

#include "state/event.h"
#include "state/state.h"

struct left {
    const struct open_chunk *chunk;
    const struct open_entry *entry; /* a copy */
    struct addr local;              /* this and the port may have been found out since */
    uint16_t local_port;
    uint8_t via, fate, verified; /* enum via, fate, verified */
    uint32_t pid;
    uint64_t netns; /* of the event, when the chunk has none */
    uint64_t time_us;
    bool asked; /* sock_diag was asked about it */
};

/* Another process had the same socket open, and has told its end. Asked once: from then on it is told. alive_ns:
 * CLOCK_REALTIME when its own process was seen last. */
bool left_recorded_before(const struct state *s, const struct left *l, uint64_t alive_ns);

/* It is open no more, in its pair and in the history. */
void left_closed(const struct state *s, const struct left *l);

/* Is it told at all? Not in mode off, and an accepted one only with log.inbound. settings->mode: the one in force. */
bool left_is_recorded(const struct left *l, const struct settings *settings);

/* Counts one that is told, by arm, rule and source. */
void left_count(const struct state *s, const struct left *l);

/* The event of one that is told; all but its number. False: none, log.closes does not ask for it. */
bool left_event(struct event_record *out, const struct left *l, const struct settings *settings);

#endif
