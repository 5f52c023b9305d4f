#include "client/history_update.h"

#include "client/client.h"
#include "state/history.h"
#include "state/pair.h"

static const struct addr kernels_choice;

/* The address that was bound, by us or by the client. What getsockname shows later does not count: it was the kernel's
 * choice. */
static const struct addr *source_of(const struct conn *c) {
    return conn_flags(c) & (CONN_OUR_BIND | CONN_APP_ADDRESS) ? &c->source : &kernels_choice;
}

static uint32_t key_of(const struct client *client, const struct history_flow *f) {
    return history_key(pair_key(f->netns, f->source, f->destination), client->program_key);
}

static struct history_flow flow_of(const struct client *client, const struct conn *c, uint64_t netns,
                                   const struct endpoint *destination) {
    return (struct history_flow){
        .netns = netns,
        .source = source_of(c),
        .destination = destination,
        .program = client->program,
    };
}

static uint32_t taken(const struct pair *pair, uint64_t now) {
    return pair_open(pair) + pair_time_waits(pair, now);
}

void history_update_connect(const struct history_update *u, struct conn *c, const struct pair *pair,
                            uint64_t elapsed_ns) {
    struct history_flow f = flow_of(u->client, c, u->netns, u->destination);
    uint32_t minute = history_minute(u->now);
    /* The key is of c's source, and that is the flow's, unless an address was found that no call of ours has set. */
    bool same = u->key && (f.source == &c->source || addr_is_any(&c->source));
    f.key = same ? history_key(u->key, u->client->program_key) : key_of(u->client, &f);
    c->flow = f.key;
    if (history_connect(&u->client->state, &f, minute, elapsed_ns) && pair)
        history_peak(&u->client->state, &f, minute, taken(pair, u->now));
}

static void exhausted(struct client *client, const struct history_flow *f, enum outcome outcome, enum cause cause,
                      uint32_t minute) {
    static const uint8_t counter[OUTCOMES] = {
        [OUTCOME_RECOVERED] = HISTORY_RECOVERED,
        [OUTCOME_FALLBACK] = HISTORY_FALLBACK,
        [OUTCOME_FAILED] = HISTORY_FAILED,
    };
    history_count(&client->state, f, minute, (enum history_counter)counter[outcome]);
    history_count(&client->state, f, minute, (enum history_counter)(HISTORY_CAUSE + cause));
}

void history_update_exhausted(const struct history_update *u, const struct conn *c, enum outcome outcome,
                              enum cause cause) {
    struct history_flow f = flow_of(u->client, c, u->netns, u->destination);
    f.key = key_of(u->client, &f);
    exhausted(u->client, &f, outcome, cause, history_minute(u->now));
}

void history_update_full(const struct history_update *u, const struct conn *c, const struct pair *pair) {
    struct history_flow f = flow_of(u->client, c, u->netns, u->destination);
    f.key = key_of(u->client, &f);
    if (pair)
        history_peak(&u->client->state, &f, history_minute(u->now), taken(pair, u->now));
}

void history_update_bind_failed(struct client *client, uint64_t netns, const struct addr *source, enum outcome outcome,
                                enum cause cause, uint64_t now) {
    static const struct endpoint nowhere;
    struct history_flow f = {.netns = netns, .source = source, .destination = &nowhere, .program = client->program};
    f.key = key_of(client, &f);
    exhausted(client, &f, outcome, cause, history_minute(now));
}

void history_update_closed(struct client *client, const struct conn *c, enum fate fate, uint64_t now) {
    if (c->flow == 0 || fate == FATE_SHARED)
        return;
    struct history_flow f = flow_of(client, c, __atomic_load_n(&client->netns, __ATOMIC_RELAXED), &c->peer);
    f.key = conn_flags(c) & CONN_PEER_ASK ? key_of(client, &f) : c->flow;
    enum history_counter counter = fate == FATE_TIME_WAIT ? HISTORY_TIME_WAITS : HISTORY_CLOSES;
    history_count(&client->state, &f, history_minute(now), counter);
}
