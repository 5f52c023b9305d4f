#include "tool/stat/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "state/control.h"
#include "state/history_reader.h"
#include "state/pair.h"
#include "tool/common/time_text.h"
#include "tool/host/netns.h"
#include "tool/stat/occupancy.h"

/* Connections that are open for longer, and to where nothing connected since, are left out. */
enum { LATE_MINUTES = 60, NOT_COUNTED = UINT32_MAX };

/* What is read once for all flows. */
struct known {
    const struct state *s;
    const struct host_ports *ports;
    uint64_t now, netns;
    struct match match;
    struct policy policy;
    uint32_t usable[POLICY_POOLS]; /* ports of each pool; NOT_COUNTED */
    struct history_view view;
};

static uint32_t usable_ports(struct known *k, unsigned pool) {
    pool = pool < POLICY_POOLS ? pool : 0;
    if (k->usable[pool] == NOT_COUNTED)
        k->usable[pool] = pool_ports(&k->policy, &k->policy.pool[pool], k->ports).usable;
    return k->usable[pool];
}

static void add_flow(struct stat_report *out, struct known *k, const struct history_record *flow) {
    char rule[POLICY_TITLE], source[ADDR_TEXT] = "any";
    policy_match(&k->policy, &flow->destination, flow->program, &k->match);
    uint64_t key = pair_key(flow->netns, &flow->source, &flow->destination);
    const struct pair *p = pair_find(k->s, k->match.matched ? key : pair_key_unruled(key), false, k->now);
    if (!k->match.matched || !p)
        return;
    if (!addr_is_any(&flow->source))
        format_address(source, &flow->source);
    state_title(k->s, k->match.rule_id, rule);
    uint64_t taken = (uint64_t)pair_open(p) + pair_time_waits(p, k->now);
    /* Which ports another network namespace has is not known here. */
    bool ours = flow->netns == k->netns;
    stat_note_occupancy(out, rule, source, taken, ours ? usable_ports(k, k->match.pool) : 0);
}

void stat_take_known(struct stat_report *out, const struct state *s, const struct host_ports *ports) {
    struct known *k = malloc(sizeof *k);
    struct history_reader reader;
    uint32_t minute = (uint32_t)(time_now_us() / 60000000);
    if (!k || !state_policy(s, &k->policy)) {
        free(k);
        return;
    }
    k->s = s;
    k->ports = ports;
    k->netns = netns_cookie();
    k->now = clock_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < POLICY_POOLS; i++)
        k->usable[i] = NOT_COUNTED;
    history_reader_init(&reader, s, minute);
    reader.next = reader.next + LATE_MINUTES > minute + 1 ? reader.next : minute + 1 - LATE_MINUTES;
    while (history_next(&reader, &k->view))
        for (unsigned i = 0; i < k->view.flows; i++)
            add_flow(out, k, &k->view.record[i]);
    free(k);
}
