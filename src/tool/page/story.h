/* story.h - what happened around the first failure of an incident: some events before and after it as they were, and
 * counts for each 4 s of a minute before and a minute after. Bounded: 32 incidents, failures before others. */
#ifndef CONNSPREAD_TOOL_PAGE_STORY_H
#define CONNSPREAD_TOOL_PAGE_STORY_H

#include "tool/common/window.h"
#include "tool/events/format.h"
#include "tool/report/facts.h"

enum { STORIES = 32, STORY_EVENTS = 8, STORY_SLOTS = 2 * WINDOW_SLOTS, STORY_RECENT = 64 };

struct story_event {
    struct event_record record;
    struct event_context context;
    uint32_t host; /* in the facts */
};

struct story_slot { /* of WINDOW_SLOT_US; the first failure lies in slot WINDOW_SLOTS - 1 */
    uint64_t waits, failed, recovered;
};

struct story {
    struct incident_key key;
    bool used, failed; /* failed: it begins with a failure, else with what connspread overcame */
    uint64_t first_slot;
    struct story_slot slot[STORY_SLOTS];
    unsigned n_before, n_after; /* after: the first of these is the failure itself */
    struct story_event before[STORY_EVENTS], after[STORY_EVENTS];
};

struct stories {
    struct story story[STORIES];
    unsigned n;
    uint64_t until_us; /* no story takes anything after */
    struct story_event recent[STORY_RECENT];
    uint64_t seen; /* the next goes to recent[seen % STORY_RECENT] */
};

/* An event that the facts have taken. All zero: empty. */
void stories_take(struct stories *s, struct facts *f, const struct event_record *r,
                  const struct event_context *context);

/* NULL: there is none, as of an incident that only the history knows. */
const struct story *stories_find(const struct stories *s, const struct incident_key *key);

#endif
