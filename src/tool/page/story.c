#include "tool/page/story.h"

#include <string.h>

/* --- what belongs to it --- */

static bool has_destination(const struct event *e) {
    return e->kind == EVENT_TIME_WAIT || e->kind == EVENT_CLOSE || e->kind == EVENT_EXHAUSTED ||
           e->kind == EVENT_SOURCE_DOWN || e->kind == EVENT_HOLDERS || e->kind == EVENT_TIME_WAIT_GONE;
}

/* Towards its destination; where the cause is local, or the event is of a process and not of a connection, on its
 * host. */
static bool concerns(const struct incident_key *key, const struct event *e, uint32_t host) {
    if (host != key->to.host || event_is_trace(e->kind))
        return false;
    if (key->to.port == 0 || !has_destination(e))
        return true;
    return e->peer_port == key->to.port && addr_compare(&e->peer, &key->to.peer) == 0 && e->netns == key->to.netns;
}

static void keep(struct story_event *to, const struct story_event *event) {
    memcpy(to, event, sizeof *to);
}

/* --- beginning --- */

static void copy_before(const struct stories *s, struct story *story) {
    uint64_t oldest = s->seen < STORY_RECENT ? 0 : s->seen - STORY_RECENT + 1;
    const struct story_event *found[STORY_EVENTS];
    unsigned n = 0;
    for (uint64_t i = s->seen; i-- > oldest && n < STORY_EVENTS;) {
        const struct story_event *event = &s->recent[i % STORY_RECENT];
        if (concerns(&story->key, &event->record.e, event->host))
            found[n++] = event;
    }
    for (story->n_before = 0; story->n_before < n; story->n_before++)
        keep(&story->before[story->n_before], found[n - 1 - story->n_before]);
}

static void add_waits(struct story *story, const struct window *w) {
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        uint64_t slot = story->first_slot + i;
        if (slot <= w->slot && w->slot - slot < WINDOW_SLOTS)
            story->slot[i].waits += w->count[slot % WINDOW_SLOTS];
    }
}

/* The closes of the minute before, as the facts have them. */
static void count_before(struct story *story, const struct facts *f) {
    const struct destination *d;
    size_t at = 0;
    while ((d = report_table_next(&f->destinations, &at)))
        if (d->key.host == story->key.to.host &&
            (story->key.to.port == 0 || memcmp(&d->key, &story->key.to, sizeof d->key) == 0))
            add_waits(story, &d->window);
}

static void begin(struct stories *s, struct story *story, const struct facts *f, const struct story_event *event) {
    struct story_slot old[STORY_SLOTS];
    uint64_t old_first = story->first_slot;
    memcpy(old, story->slot, sizeof old);
    uint64_t slot = event->record.e.time_us / WINDOW_SLOT_US;
    memset(story->slot, 0, sizeof story->slot);
    story->first_slot = slot < WINDOW_SLOTS ? 0 : slot - (WINDOW_SLOTS - 1);
    story->n_after = 0;
    count_before(story, f);
    copy_before(s, story);
    for (unsigned i = 0; story->used && i < STORY_SLOTS; i++) /* recovered before the first failure */
        if (old_first + i >= story->first_slot && old_first + i - story->first_slot < STORY_SLOTS)
            story->slot[old_first + i - story->first_slot].recovered = old[i].recovered;
    story->used = true;
    uint64_t until = (story->first_slot + STORY_SLOTS) * WINDOW_SLOT_US;
    s->until_us = until > s->until_us ? until : s->until_us;
}

/* Its story; NULL: all places are taken. */
static struct story *place(struct stories *s, const struct incident_key *key, bool failed) {
    for (unsigned i = 0; i < s->n; i++)
        if (memcmp(&s->story[i].key, key, sizeof *key) == 0)
            return &s->story[i];
    struct story *free = s->n < STORIES ? &s->story[s->n++] : NULL;
    for (unsigned i = 0; !free && failed && i < STORIES; i++)
        free = s->story[i].failed ? NULL : &s->story[i];
    if (free)
        *free = (struct story){.key = *key};
    return free;
}

/* --- going on --- */

static void go_on(struct story *story, const struct story_event *event, bool mine) {
    const struct event_record *r = &event->record;
    uint64_t slot = r->e.time_us / WINDOW_SLOT_US;
    if (slot < story->first_slot || slot - story->first_slot >= STORY_SLOTS)
        return;
    struct story_slot *to = &story->slot[slot - story->first_slot];
    uint64_t n = 1 + (uint64_t)r->u.exhausted.repeats;
    if (r->e.kind == EVENT_TIME_WAIT && r->e.direction == OUTBOUND)
        to->waits++;
    else if (mine && r->e.kind == EVENT_EXHAUSTED)
        *(r->u.exhausted.outcome == OUTCOME_FAILED ? &to->failed : &to->recovered) += n;
    if (story->n_after < STORY_EVENTS)
        keep(&story->after[story->n_after++], event);
}

/* An exhausted or source-down event begins the story of its incident, and the first failure begins it anew. */
static const struct story *begin_its(struct stories *s, struct facts *f, const struct story_event *event,
                                     const struct destination_key *to) {
    const struct event_record *r = &event->record;
    if (r->e.kind != EVENT_EXHAUSTED && r->e.kind != EVENT_SOURCE_DOWN)
        return NULL;
    bool failed = r->e.kind == EVENT_EXHAUSTED && r->u.exhausted.outcome == OUTCOME_FAILED;
    struct story *story = place(s, &facts_incident_of(f, to, r)->key, failed);
    if (story && (!story->used || (failed && !story->failed))) {
        begin(s, story, f, event);
        story->failed = failed;
    }
    return story;
}

void stories_take(struct stories *s, struct facts *f, const struct event_record *r,
                  const struct event_context *context) {
    const struct destination_key to = facts_destination(f, &r->e, context);
    struct story_event *event = &s->recent[s->seen % STORY_RECENT];
    if (event_is_trace(r->e.kind))
        return;
    event->record = *r;
    event->context = *context;
    event->host = to.host;
    const struct story *mine = begin_its(s, f, event, &to);
    for (unsigned i = 0; r->e.time_us < s->until_us && i < s->n; i++)
        if (concerns(&s->story[i].key, &r->e, to.host))
            go_on(&s->story[i], event, &s->story[i] == mine);
    s->seen++;
}

const struct story *stories_find(const struct stories *s, const struct incident_key *key) {
    for (unsigned i = 0; i < s->n; i++)
        if (memcmp(&s->story[i].key, key, sizeof *key) == 0)
            return &s->story[i];
    return NULL;
}
