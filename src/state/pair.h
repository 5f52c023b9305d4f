/* pair.h - what all processes of an instance know of one (network namespace, source, destination).
 *
 * Entries lie in a hash table in the state file (pair_table.h) and are updated with relaxed atomics: every field is a
 * hint that may be wrong for a moment (or scribbled over) without harm to a connection; the worst is a source tried too
 * often or left out for 100 ms. Nothing here blocks. All functions are async-signal-safe and take a NULL pair as
 * "nothing known, nothing to remember". Times: CLOCK_MONOTONIC, ns. */
#ifndef CONNSPREAD_STATE_PAIR_H
#define CONNSPREAD_STATE_PAIR_H

#include "state/state.h"

enum {
    HOLD_DOWN_MS = 100,
    PROBE_MS = 10,
    PROBE_MAX_MS = 80,
    SUSPECT_MS = 1000,
    SEARCHES = 32,
    QUARANTINE_MS = 10000,
    UNREACHABLE_MS = 10000,
    UNANSWERED = 3,
    DOWN_MS = 30000,
    DOWN_MAX_MS = 300000,
    ANSWERED_MS = 100
};

/* destination NULL: the source alone (is it on this host at all?). Never 0, and not confined (pair_table.h). */
uint64_t pair_key(uint64_t netns, const struct addr *source, const struct endpoint *destination);

/* The index (below match->total) of the source at which a connect to the destination begins, before it is known how
 * used any is. turn: the pool's shared counter, drawn for this connect. epoch: of the state file. */
uint32_t pair_first_source(const struct match *match, const struct endpoint *destination, uint32_t turn,
                           uint64_t epoch);

/* May a connect try this pair now? False while it is unusable, held down or marked down, except for one caller per
 * 10 ms, which probes through a hold-down, and one per period of a mark. */
bool pair_may_try(struct pair *p, uint64_t now);

/* Is it held down (rather than unusable)? For 100 ms after it was found full, and for a second more only the probing
 * caller tries, so that a full pool is not searched by all whenever a hold-down ends. */
bool pair_held_down(const struct pair *p, uint64_t now);

/* connect said EADDRNOTAVAIL after searching for searched ns: hold down for 100 ms, probed every 10 ms, or less often
 * (but within 100 ms) where a search takes long. True when the pair was not held down before. */
bool pair_full(struct pair *p, uint64_t now, uint64_t searched);

/* Not usable for ms milliseconds. True when it was usable before. */
bool pair_set_unusable(struct pair *p, uint64_t now, unsigned ms);

/* It worked. True when the pair had been unusable before (the source is back). */
bool pair_worked(struct pair *p);

/* A connect that began at began was answered, by whatever. Ends a mark. */
void pair_answered(struct pair *p, uint64_t began);

/* When the youngest connect began that is known to be answered, to ANSWERED_MS; 0: none. */
uint64_t pair_last_answer(const struct pair *p, uint64_t now);

/* Whose pair it is, for people. */
struct pair_flow {
    const struct addr *source;
    const struct endpoint *destination;
    uint16_t rule_id;
};

/* Says so, by words: others may be saying it, too. Before what makes readers look at it, which is stored with release.
 */
void pair_label(struct pair *p, const struct pair_flow *flow);

/* A connect that was not answered: when it began, was given up, and when that was told to us, CLOCK_MONOTONIC, ns.
 * Where the kernel tells of ends, others may have come and gone between the last two. */
struct pair_wait {
    uint64_t began, ended, told;
};

/* sibling: the last answer (pair_last_answer) to another source from the same destination. A failure counts if that
 * came while it lasted, or comes before the next failure: so what a dead destination does not answer counts nowhere. Of
 * those under way at the same time one counts, so that a moment of silence is one. The third in a row marks the pair
 * down for 30 s, each further one for twice as long, up to 5 minutes; then, and once a period, one connect tries it.
 * True when this one marks it. */
bool pair_unanswered(struct pair *p, const struct pair_flow *flow, const struct pair_wait *wait, uint64_t sibling);

/* Is it marked down? For the tool: clients ask pair_may_try. */
bool pair_is_down(const struct pair *p);

/* Whose turn is it among size ports (1..65535), all of which are used once before the first is again? 0..size - 1, or
 * -1: search among all of them, because it was tried lately and that port was taken. */
int pair_port(struct pair *p, uint32_t size);

/* The port of that turn was taken: the next SEARCHES connects search. */
void pair_port_taken(struct pair *p);

/* May one more of something happen this second? Counts those turned away; *repeats gets their number, and is reset,
 * with the next that may. For entries that are used for nothing else. */
bool pair_within_budget(struct pair *p, uint64_t now, unsigned per_second, uint32_t *repeats);

/* True for one caller in ms milliseconds. For entries that are used for nothing else; NULL: never. */
bool pair_turn(struct pair *p, uint64_t now, unsigned ms);

void pair_opened(struct pair *p, uint64_t now);

/* A connection of this pair was closed; ends a hold-down. time_wait: its quadruplet stays taken for 60 s. */
void pair_closed(struct pair *p, bool time_wait, uint64_t now);

/* Its end, recorded as unknown before, was a TIME-WAIT. */
void pair_waits(struct pair *p, uint64_t now);

/* The same as pair_closed for an entry of the open table whose process cannot do it itself any more. */
void pair_left(const struct state *s, uint64_t netns, const struct open_entry *h, bool time_wait, uint64_t now);

uint32_t pair_open(const struct pair *p);
/* TIME-WAITs left in the last 60 to 64 s. */
uint32_t pair_time_waits(const struct pair *p, uint64_t now);

#endif
