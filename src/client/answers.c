#include "client/answers.h"

#include <errno.h>

#include "client/asked.h"
#include "client/client.h"
#include "client/match_cache.h"
#include "state/endpoint.h"
#include "state/pair.h"
#include "base/sys.h"
#include "state/control.h"
#include "client/events.h"
#include "state/pair_table.h"

enum { SIBLINGS = 256, TOLD_LATE_NS = 100000000 };
#define PATIENCE_NS 1000000000u /* the first SYN is sent again after a second: less says nothing */

/* The last answer of the same destination to another source of the pool. Apart: it needs room for a match. */
__attribute__((noinline)) static uint64_t last_of_siblings(struct client *client, const struct conn *c, uint64_t now) {
    struct match match;
    uint64_t netns = __atomic_load_n(&client->netns, __ATOMIC_RELAXED), last = 0;
    if (!match_cache_find(client, &c->peer, &match) || !match.matched)
        return 0;
    for (uint32_t i = 0; i < match.total && i < SIBLINGS; i++) {
        struct endpoint source = match_source(&match, i);
        if (addr_compare(&source.addr, &c->source) == 0)
            continue;
        const struct pair *pair = pair_find(&client->state, pair_key(netns, &source.addr, &c->peer), false, now);
        uint64_t answer = pair_last_answer(pair, now);
        last = answer > last ? answer : last;
    }
    return last;
}

static void unanswered(struct client *client, const struct conn *c, struct pair *pair, uint64_t began) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC), ended = now - (client->ends_told ? TOLD_LATE_NS : 0);
    if (ended < began + PATIENCE_NS)
        return;
    const struct endpoint source = {.addr = c->source};
    const struct pair_flow flow = {&c->source, &c->peer, c->rule_id};
    if (!pair_unanswered(pair, &flow, &(struct pair_wait){began, ended, now}, last_of_siblings(client, c, ended)))
        return;
    state_count(&client->state, (enum arm)c->arm, COUNT_MARKED_DOWN);
    event_source_down(client, c, &source, &c->peer, CAUSE_UNANSWERED, ETIMEDOUT);
}

/* What has only begun is none of it. The last ones are of ICMP: no such protocol, a bad header, an isolated host. */
bool answers_is_refusal(int error) {
    return error == ECONNREFUSED || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == EHOSTDOWN || error == EACCES || error == EPERM || error == ENOPROTOOPT ||
           error == EPROTO || error == ENONET;
}

/* Of an endpoint that the client did not ask for (also-to). What it does not answer leaves it out for a while. */
__attribute__((noinline)) static void note_endpoint(struct client *client, const struct conn *c, int error,
                                                    uint64_t began) {
    struct match match;
    const struct endpoint *asked = asked_of(c);
    uint64_t netns = __atomic_load_n(&client->netns, __ATOMIC_RELAXED), now = clock_ns(CLOCK_MONOTONIC);
    if (error == 0) {
        endpoint_answered(endpoint_find(&client->state, netns, &c->peer, false, now), began);
        return;
    }
    if (!answers_is_refusal(error) || !asked || !match_cache_find(client, asked, &match) || match.n_also == 0)
        return;
    if (error == ETIMEDOUT && now < began + (uint64_t)match.also.timeout_ms * 1000000u)
        return; /* the client gave it up early */
    struct pair *p = endpoint_find(&client->state, netns, &c->peer, true, now);
    if (!endpoint_failed(p, &c->peer, c->rule_id, now, match.also.hold_down_ms))
        return;
    state_count(&client->state, (enum arm)c->arm, COUNT_ENDPOINT_OUT);
    event_source_down(client, c, &(struct endpoint){0}, &c->peer, CAUSE_UNANSWERED, error);
}

/* True: it says something of the source, too. */
static bool also_of_source(struct client *client, const struct conn *c, int error, uint64_t began) {
    uint32_t flags = conn_flags(c);
    if (flags & CONN_ASKED)
        note_endpoint(client, c, error, began);
    return (flags & (CONN_OUR_BIND | CONN_PINNED)) == CONN_OUR_BIND;
}

__attribute__((noinline)) void answers_note(struct client *client, const struct conn *c, struct pair *pair, int error,
                                            uint64_t began) {
    if (!pair || !(conn_flags(c) & (CONN_OUR_BIND | CONN_ASKED)))
        return;
    if (conn_flags(c) & (CONN_PINNED | CONN_ASKED) && !also_of_source(client, c, error, began))
        return;
    switch (error) {
    case 0:
    case ECONNREFUSED:
    case ECONNRESET:
        pair_answered(pair, began);
        break;
    case ETIMEDOUT:
    case EHOSTUNREACH:
        unanswered(client, c, pair, began);
        break;
    default:
        break;
    }
}
