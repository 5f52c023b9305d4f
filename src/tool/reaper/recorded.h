/* recorded.h - which quadruplets are accounted for: by an event in the ring of closes, or by an entry of the open
 * table. */
#ifndef CONNSPREAD_TOOL_REAPER_RECORDED_H
#define CONNSPREAD_TOOL_REAPER_RECORDED_H

#include "net/addr.h"
#include "state/state.h"

struct state;

struct recorded_event {
    struct addr local, peer;
    uint16_t local_port, peer_port;
    uint8_t kind, via;
    bool open; /* no event: an entry of the open table that knows its port */
    uint32_t pid;
    uint64_t time_us, began_us; /* began: time - age */
};

struct recorded {
    struct recorded_event *event; /* sorted by destination and local port */
    size_t n;
    uint64_t since_us; /* events before that have left the ring; 0: none have */
};

/* Reads the events from then on; and_open: the open table, too, which recorded_named needs. That first: a client writes
 * its connection's port there before it closes, and leaves there only after its event is in the ring. So a TIME-WAIT
 * that was there before this call, and that it does not know, is not one that a living process is about to record. Of a
 * copy, both are copied anew. False: no memory, or the file was cut. */
bool recorded_read(struct recorded *t, const struct state *s, uint64_t from_us, bool and_open);
void recorded_free(struct recorded *t);

/* Is there a time-wait event of this quadruplet from then on? */
bool recorded_time_wait(const struct recorded *t, const struct addr *local, uint16_t local_port,
                        const struct addr *peer, uint16_t peer_port, uint64_t from_us);

/* The same, or an entry of the open table: this socket is not one to be guessed at. */
bool recorded_named(const struct recorded *t, const struct addr *local, uint16_t local_port, const struct addr *peer,
                    uint16_t peer_port, uint64_t from_us);

/* Has an earlier reaper, which died before it could say so, written this very connection's event, be it of a TIME-WAIT
 * or not? local_port: 0: not known. */
bool recorded_by_reaper(const struct recorded *t, uint32_t pid, uint16_t local_port, const struct addr *peer,
                        uint16_t peer_port, uint64_t began_us);

#endif
