#include "close/after_exec.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/sys.h"
#include "client/client.h"
#include "client/events.h"
#include "client/open_table.h"
#include "client/track.h"
#include "close/fate.h"
#include "state/control.h"
#include "state/dedup.h"
#include "state/history.h"
#include "state/pair.h"
#include "state/ring.h"
#include "state/stats.h"

/* What has become of it the kernel says: another process may have held it too. */
static int ask(const struct open_entry *h, struct diag_answer *answer) {
    if (h->token != 0 && h->token != MPTCP_UNKNOWN && diag_lookup_mptcp(h->token, answer) == 0 &&
        tcp_state_from_kernel(answer->state) != TCP_STATE_CLOSED)
        return 0;
    if (h->local_port == 0)
        return -EINVAL;
    bool expected = open_fate(h) == FATE_TIME_WAIT;
    struct tuple tuple = open_tuple(h);
    int found = diag_lookup_ending(&tuple, expected, answer);
    if (h->token != 0)
        answer->inode = 0; /* a subflow's says nothing */
    return found;
}

/* CLOCK_MONOTONIC; a stamp of CLOCK_REALTIME. */
static uint64_t monotonic_ns(uint64_t stamp, uint64_t now) {
    return now - (clock_ns(CLOCK_REALTIME) - stamp);
}

static bool recorded_before(struct client *client, const struct open_entry *h, uint64_t netns) {
    struct tuple tuple = open_tuple(h);
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    uint64_t began = h->connected_ns ? h->connected_ns : h->marked_ns - DEDUP_NS;
    uint64_t since = monotonic_ns(open_phase(h) == TCP_STATE_CLOSED ? began : h->marked_ns, now);
    return h->local_port != 0 && !dedup_first(&client->state, netns, &tuple, since, now);
}

static void record_exec(struct client *client, const struct open_entry *copy, const struct open_chunk *chunk) {
    struct event_record r;
    struct diag_answer answer = {0};
    int found = ask(copy, &answer);
    enum fate first = open_fate(copy) < FATES ? (enum fate)open_fate(copy) : FATE_NONE;
    enum fate fate = fate_from_lookup(found, &answer, first, false);
    if (found == 0 && tcp_state_from_kernel(answer.state) == TCP_STATE_FIN_WAIT_1 && open_without_fin_wait_2(copy))
        fate = FATE_NONE;
    if (fate == FATE_TIME_WAIT && recorded_before(client, copy, chunk->netns))
        fate = FATE_SHARED;
    enum arm arm = chunk->arm < ARMS ? (enum arm)chunk->arm : ARM_CONTROL;
    struct settings settings = {0};
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    pair_left(&client->state, chunk->netns, copy, fate == FATE_TIME_WAIT, now);
    if (fate != FATE_SHARED)
        history_left(&client->state, chunk, copy, fate == FATE_TIME_WAIT, history_minute(now));
    (void)state_settings(&client->state, NULL, &settings);
    state_count(&client->state, arm, counter_of_fate(fate));
    if (fate != FATE_TIME_WAIT && settings.log_closes != CLOSES_ALL)
        return;
    event_begin(client, &r, fate == FATE_TIME_WAIT ? EVENT_TIME_WAIT : EVENT_CLOSE, arm);
    r.e.direction = copy->direction < DIRECTIONS ? copy->direction : OUTBOUND;
    r.e.local = copy->local;
    r.e.local_port = copy->local_port;
    r.e.peer = copy->peer;
    r.e.peer_port = copy->peer_port;
    r.e.rule_id = copy->rule_id;
    r.e.pool_id = copy->pool_id;
    r.e.netns = chunk->netns;
    r.e.via = VIA_EXEC;
    r.e.phase = open_phase(copy);
    r.e.fate = (uint8_t)fate;
    r.e.verified = found == 0 || found == -ENOENT ? VERIFIED_TRUE : VERIFIED_FALSE;
    if (copy->connected_ns && copy->marked_ns > copy->connected_ns)
        r.e.age_us = (copy->marked_ns - copy->connected_ns) / 1000;
    memcpy(r.e.program, chunk->program, EVENT_PROGRAM); /* the image that made the connection */
    (void)ring_write(&client->state, &r);
}

void after_exec_record(struct client *client) {
    if (open_table_take_over(client, record_exec)) {
        track_find(client, 0, INT_MAX);
        open_table_write_all(client);
    }
}
