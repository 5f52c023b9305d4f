#include "close/after_exec.h"

#include <errno.h>
#include <limits.h>

#include "client/client.h"
#include "client/open_table.h"
#include "client/process.h"
#include "client/track.h"
#include "close/fate.h"
#include "state/left.h"
#include "state/ring.h"

/* What has become of it the kernel says: another process may have held it too. */
static int ask(const struct open_entry *h, struct diag_answer *answer) {
    if (h->token != 0 && h->token != MPTCP_UNKNOWN && diag_lookup_mptcp(h->token, answer) == 0 &&
        tcp_state_from_kernel(answer->state) != TCP_STATE_CLOSED)
        return 0;
    if (h->local_port == 0)
        return -EINVAL;
    bool expected = open_fate(h) == FATE_TIME_WAIT;
    struct tuple tuple = open_tuple(h);
    int found = diag_lookup_ending(-1, &tuple, expected, answer);
    if (h->token != 0)
        answer->inode = 0; /* a subflow's says nothing */
    return found;
}

static void judge(const struct client *client, struct left *l, bool told) {
    const struct open_entry *h = l->entry;
    struct diag_answer answer = {0};
    enum fate first = open_fate(h) < FATES ? (enum fate)open_fate(h) : FATE_NONE;
    l->asked = client_asks(client);
    int found = l->asked ? ask(h, &answer) : -EPERM;
    enum fate fate = fate_from_lookup(found, &answer, first, false);
    if (found == 0 && tcp_state_from_kernel(answer.state) == TCP_STATE_FIN_WAIT_1 && open_without_fin_wait_2(h))
        fate = FATE_NONE;
    if (told && fate == FATE_TIME_WAIT && left_recorded_before(&client->state, l, h->marked_ns))
        fate = FATE_SHARED;
    l->fate = (uint8_t)fate;
    l->verified = found == 0 || found == -ENOENT ? VERIFIED_TRUE : VERIFIED_FALSE;
}

static void record_exec(struct client *client, const struct open_entry *copy, const struct open_chunk *chunk) {
    struct event_record r;
    struct settings settings = client_settings(client);
    struct left l = {
        .chunk = chunk,
        .entry = copy,
        .local = copy->local,
        .local_port = copy->local_port,
        .via = VIA_EXEC,
        .pid = process_pid(),
        .time_us = copy->marked_ns / 1000,
    };
    bool told = left_is_recorded(&l, &settings);
    judge(client, &l, told);
    left_closed(&client->state, &l);
    if (!told)
        return;
    left_count(&client->state, &l);
    if (left_event(&r, &l, &settings))
        (void)ring_write(&client->state, &r);
}

void after_exec_record(struct client *client) {
    if (open_table_take_over(client, record_exec)) {
        track_find(client, 0, INT_MAX);
        open_table_write_all(client);
    }
}
