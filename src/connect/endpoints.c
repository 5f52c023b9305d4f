#include "connect/endpoints.h"

#include <errno.h>

#include "base/sys.h"
#include "client/answers.h"
#include "client/asked.h"
#include "client/client.h"
#include "client/events.h"
#include "connect/diagnosis.h"
#include "connect/limit.h"
#include "connect/sources.h"
#include "state/control.h"
#include "state/endpoint.h"
#include "state/pair.h"
#include "state/pair_table.h"

enum { SOURCES_COUNTED = 256 };

/* What is put back once an endpoint has not served. */
struct before {
    const struct sockaddr *address;
    socklen_t length;
    const struct endpoint *destination;
    struct endpoint peer;
    unsigned attempts;
    int error;
    ssize_t result;
    unsigned full, n_unusable;
    uint64_t began;    /* when the endpoint's turn began; ns */
    uint64_t patience; /* how long a blocking connect waits for it; ns; 0: for ever */
    bool gave_up;
};

static bool went_on(const struct connecting *k) {
    return k->result >= 0 || k->error == EINPROGRESS || k->error == EINTR || k->error == EALREADY;
}

/* A blocking client shall not wait for an endpoint that it did not ask for longer than the rule says; nor for more than
 * half of the time that it gives its own destination. */
static uint64_t patience(struct connecting *k) {
    uint64_t limit = (uint64_t)k->match->also.timeout_ms * 1000000u, left;
    if (limit == 0 || !limit_look(k))
        return 0;
    left = limit_left(k);
    limit = left && left / 2 < limit ? left / 2 : limit;
    limit_set(k, limit);
    return limit;
}

/* Our limit was over before the endpoint answered: the attempt ends here. */
static void give_up(struct connecting *k) {
    const struct sockaddr nothing = {.sa_family = AF_UNSPEC};
    (void)sys_call3(SYS_connect, k->call->fd, &nothing, sizeof nothing);
    k->result = -1;
    k->error = ETIMEDOUT;
}

/* The connect has returned, on a blocking socket, but perhaps only as our limit made it. */
static void wait_on(struct client *client, struct connecting *k, struct before *b) {
    int over = EINPROGRESS;
    while (k->result < 0 && k->error == EINTR && limit_is_same(k) && limit_restarts(k)) {
        uint64_t spent = clock_ns(CLOCK_MONOTONIC) - b->began;
        over = EALREADY; /* what the kernel says of a second call */
        k->error = over;
        if (spent >= b->patience)
            break;
        limit_set(k, b->patience - spent);
        (void)connecting_run(client, k);
    }
    b->gave_up = k->result < 0 && k->error == over && limit_is_same(k);
    if (b->gave_up)
        give_up(k);
    else if (!went_on(k) && k->number == NUMBER_OURS && !limit_is_same(k))
        k->number = NUMBER_CLOSED; /* behind libc's back: no further call is made on the number */
}

static void begin(struct connecting *k, const struct endpoint *to, struct sockaddr_storage *name, struct before *b) {
    *b = (struct before){.address = k->call->address,
                         .length = k->call->length,
                         .destination = k->destination,
                         .peer = k->conn->peer,
                         .attempts = k->attempts,
                         .error = k->error,
                         .result = k->result,
                         .full = k->full,
                         .n_unusable = k->n_unusable,
                         .began = clock_ns(CLOCK_MONOTONIC)};
    k->call->length = endpoint_to_sockaddr(name, to, k->conn->family);
    k->call->address = (const struct sockaddr *)name;
    k->destination = to;
    k->conn->peer = *to;
    k->attempts = 0;
    b->patience = patience(k);
}

static void end(struct connecting *k, const struct before *b) {
    k->call->address = b->address;
    k->call->length = b->length;
    k->attempts += b->attempts;
}

static void put_back(struct connecting *k, const struct before *b) {
    k->destination = b->destination;
    k->error = b->error;
    k->result = b->result;
    k->n_unusable = b->n_unusable; /* what an endpoint cannot be reached from says nothing of others */
    if (b->patience)
        limit_set_left(k);
    if (k->number == NUMBER_LOST)
        return;
    k->conn->peer = b->peer;
    asked_clear(k->conn);
}

static void failed(struct client *client, struct connecting *k, const struct endpoint *to) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    struct pair *p = endpoint_find(&client->state, k->netns, to, true, now);
    if (!endpoint_failed(p, to, k->conn->rule_id, now, k->match->also.hold_down_ms))
        return;
    state_count(&client->state, (enum arm)k->conn->arm, COUNT_ENDPOINT_OUT);
    event_source_down(client, k->conn, &(struct endpoint){0}, to, CAUSE_UNANSWERED, k->error);
}

static bool is_over(const struct connecting *k, uint64_t began) {
    return k->now - began >= (uint64_t)k->match->also.timeout_ms * 1000000u;
}

/* From no source that was tried, and for no other reason (EINVAL: what routing says of a source from elsewhere). */
static bool has_no_way(const struct connecting *k, const struct before *b) {
    for (unsigned i = b->n_unusable; i < k->n_unusable; i++)
        if (!answers_is_refusal(k->unusable[i].error) && k->unusable[i].error != EINVAL)
            return false;
    return k->n_unusable > b->n_unusable && k->full == b->full;
}

/* It answered something else than a connection, or there is no way to it. An error of this host's own (no memory, a
 * port that another was given first) says nothing of it; nor does a client that gave it less than its time. */
static bool has_failed(const struct connecting *k, const struct before *b, enum step step) {
    if (step == STEP_NEXT)
        return has_no_way(k, b);
    return step == STEP_DONE && answers_is_refusal(k->error) && (!b->gave_up || is_over(k, b->began));
}

/* One endpoint, through all sources. */
static enum step try_endpoint(struct client *client, struct connecting *k, const struct endpoint *to, bool own) {
    struct sockaddr_storage name;
    struct before b;
    uint32_t number = asked_number(k->destination);
    struct pair *p = endpoint_find(&client->state, k->netns, to, false, k->now);
    /* A socket that is pinned to an uplink goes where its client said. */
    if (number == 0 || conn_flags(k->conn) & CONN_PINNED || !endpoint_may_try(p, k->now, k->match->also.hold_down_ms))
        return STEP_NEXT;
    begin(k, to, &name, &b);
    asked_set(k->conn, number, k->match->to & TO_SHOW_ASKED);
    enum step step = sources_or_own(client, k, own);
    if (step == STEP_DONE && b.patience)
        wait_on(client, k, &b);
    end(k, &b);
    if (k->number != NUMBER_OURS || (step == STEP_DONE && (went_on(k) || k->error == EISCONN))) {
        state_count(&client->state, (enum arm)k->conn->arm, COUNT_ELSEWHERE);
        return step;
    }
    k->now = clock_ns(CLOCK_MONOTONIC);
    if (has_failed(k, &b, step))
        failed(client, k, to);
    put_back(k, &b);
    return step == STEP_STOP ? STEP_STOP : STEP_NEXT;
}

/* Open connections and TIME-WAITs to an endpoint, from all sources. */
static uint32_t used(struct client *client, const struct connecting *k, const struct endpoint *to, bool own,
                     uint32_t *time_waits) {
    const struct match *m = k->match;
    uint32_t n = own ? 1 : m->total < SOURCES_COUNTED ? m->total : SOURCES_COUNTED, open = 0;
    *time_waits = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct endpoint source = {.addr = k->conn->source};
        if (!own)
            source = match_source(m, i);
        const struct pair *pair = pair_find(&client->state, pair_key(k->netns, &source.addr, to), false, k->now);
        open += pair_open(pair);
        *time_waits += pair_time_waits(pair, k->now);
    }
    return open;
}

/* 0: the client's own destination; from 1 on the others. Of equally used ones the turn's is the first. */
static uint32_t least_used(struct client *client, const struct connecting *k, bool own, uint32_t turn) {
    uint32_t n = k->match->n_also + 1u, best = 0, fewest = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (turn + i) % n, waits;
        uint32_t open = used(client, k, at ? &k->match->also.to[at - 1] : k->destination, own, &waits);
        if (open + waits < fewest) {
            fewest = open + waits;
            best = at;
        }
    }
    return best;
}

/* Those from the turn's on, for no longer than one may take, and no port that is bound for good: the client's own
 * destination may still be the one. What they say of being full is not said of that. A supervisor asks them only
 * afterwards: its blocking connects end early, and what becomes of them then would be the program's. So does a socket
 * with fast open, whose connect succeeds before any peer is asked. */
enum step endpoints_first(struct client *client, struct connecting *k, bool own) {
    const struct match *m = k->match;
    unsigned seen = k->seen, full = k->full, not_local = k->not_local;
    enum step step = STEP_NEXT;
    if (m->n_also == 0 || (m->to & TO_POLICY) == TO_CLIENT_FIRST || client->pid != 0 || k->call->sends ||
        conn_flags(k->conn) & CONN_FASTOPEN)
        return STEP_NEXT;
    struct pair *turns = endpoint_find(&client->state, k->netns, k->destination, true, k->now);
    uint32_t at = endpoint_turn(turns, m->n_also + 1u);
    if ((m->to & TO_POLICY) == TO_LEAST_USED)
        at = least_used(client, k, own, at);
    k->seen |= SEEN_FIRST;
    for (uint32_t i = at; i >= 1 && i <= m->n_also && step == STEP_NEXT && (i == at || !is_over(k, k->began)); i++)
        step = try_endpoint(client, k, &m->also.to[i - 1], own);
    k->seen = seen;
    k->full = full;
    k->not_local = not_local;
    k->attempts = step == STEP_NEXT ? 0 : k->attempts;
    return step;
}

enum step endpoints_after(struct client *client, struct connecting *k, bool own) {
    const struct match *m = k->match;
    unsigned seen = k->seen, full = k->full, not_local = k->not_local;
    enum step step = STEP_NEXT;
    for (uint32_t i = 0; i < m->n_also && !k->call->sends && step == STEP_NEXT; i++)
        step = try_endpoint(client, k, &m->also.to[i], own);
    k->seen = seen;
    k->full = full;
    k->not_local = not_local;
    return step;
}

void endpoints_name(struct client *client, struct connecting *k) {
    bool own = k->way == WAY_OWN;
    for (unsigned i = 0; i < k->match->n_also; i++) {
        const struct endpoint *to = &k->match->also.to[i];
        uint32_t waits, open = used(client, k, to, own, &waits);
        const struct pair *p = endpoint_find(&client->state, k->netns, to, false, k->now);
        report_endpoint(k->report, to, endpoint_is_out(p) ? CAUSE_UNANSWERED : CAUSE_RANGE_FULL, open, waits);
    }
}
