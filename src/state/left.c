#include "state/left.h"

#include <string.h>

#include "base/sys.h"
#include "state/control.h"
#include "state/dedup.h"
#include "state/history.h"
#include "state/pair.h"
#include "state/stats.h"

static enum arm arm_of(const struct left *l) {
    uint8_t arm = __atomic_load_n(&l->chunk->arm, __ATOMIC_RELAXED); /* once: it is an index, and others can write it */
    return arm < ARMS ? (enum arm)arm : ARM_CONTROL;
}

static enum direction direction_of(const struct left *l) {
    return l->entry->direction == INBOUND ? INBOUND : OUTBOUND;
}

bool left_recorded_before(const struct state *s, const struct left *l, uint64_t alive_ns) {
    const struct open_entry *h = l->entry;
    struct tuple tuple = tuple_of(&l->local, l->local_port, &h->peer, h->peer_port);
    bool open = h->word != OPEN_NOW && open_phase(h) != TCP_STATE_CLOSED; /* when it was looked at last */
    uint64_t connected = h->connected_ns ? h->connected_ns : alive_ns - DEDUP_NS;
    uint64_t began = open ? h->marked_ns : connected, now = clock_ns(CLOCK_MONOTONIC);
    uint64_t ago = clock_ns(CLOCK_REALTIME) - began;
    return l->local_port != 0 && !dedup_first(s, l->chunk->netns, &tuple, now - ago, now);
}

void left_closed(const struct state *s, const struct left *l) {
    bool time_wait = l->fate == FATE_TIME_WAIT;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    pair_left(s, l->chunk->netns, l->entry, time_wait, now);
    if (l->fate != FATE_SHARED)
        history_left(s, l->chunk, l->entry, time_wait, history_minute(now));
}

bool left_is_recorded(const struct left *l, const struct settings *settings) {
    return settings->mode != MODE_OFF && (direction_of(l) == OUTBOUND || settings->log_inbound);
}

void left_count(const struct state *s, const struct left *l) {
    enum arm arm = arm_of(l);
    stats_close(s, stats_find(s, arm, l->entry->rule_id, &l->entry->local), arm, (enum fate)l->fate);
    if (l->asked)
        state_count(s, arm, COUNT_VERIFIED);
}

bool left_event(struct event_record *out, const struct left *l, const struct settings *settings) {
    const struct open_entry *h = l->entry;
    uint64_t connected_us = h->connected_ns / 1000;
    bool time_wait = l->fate == FATE_TIME_WAIT;
    if (!time_wait && settings->log_closes != CLOSES_ALL)
        return false;
    *out = (struct event_record){.e = {.kind = time_wait ? EVENT_TIME_WAIT : EVENT_CLOSE, .arm = (uint8_t)arm_of(l)}};
    struct event *e = &out->e;
    e->time_us = l->time_us;
    e->netns = l->chunk->netns ? l->chunk->netns : l->netns;
    e->age_us = connected_us && l->time_us > connected_us ? l->time_us - connected_us : 0;
    e->local = l->local;
    e->local_port = l->local_port;
    e->peer = h->peer;
    e->peer_port = h->peer_port;
    e->pid = e->tid = l->pid;
    memcpy(e->program, l->chunk->program, EVENT_PROGRAM); /* the image that made the connection */
    e->rule_id = h->rule_id;
    e->pool_id = h->pool_id;
    e->direction = (uint8_t)direction_of(l);
    e->via = l->via;
    e->phase = h->word == OPEN_NOW ? TCP_STATE_UNKNOWN : open_phase(h);
    e->fate = l->fate;
    e->verified = l->verified;
    return true;
}
