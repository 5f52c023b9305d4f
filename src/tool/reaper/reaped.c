#include "tool/reaper/reaped.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/time_text.h"
#include "tool/reaper/match.h"
#include "tool/reaper/present.h"
#include "tool/reaper/recorded.h"
#include "net/diag.h"
#include "tool/host/dump.h"
#include "state/dedup.h"
#include "state/event.h"

static const uint64_t second = 1000000, time_wait_us = 60 * 1000000;

/* What connected_ns and a TIME-WAIT's age may be early or late: the same connection as another process noted it. */
static const uint64_t coarse_us = 20000;

/* From the first FIN to the end of TIME-WAIT: FIN_WAIT2 lasts up to 60 s as well. */
static const uint64_t named_us = 121 * 1000000;

static uint64_t connected_us(const struct reaped *l) {
    uint64_t known = l->entry.connected_ns / 1000;
    return known ? known : l->alive_us - DEDUP_NS / 1000;
}

/* When a socket came into TIME-WAIT; on its way there: now. */
static uint64_t entered_us(uint8_t state, uint32_t expires_ms, uint64_t now) {
    uint64_t left = (uint64_t)expires_ms * 1000;
    return state == TCP_TIME_WAIT && left < time_wait_us ? now - (time_wait_us - left) : now;
}

/* The client has looked at it just before. */
static bool marked(const struct reaped *l) {
    return l->entry.word != OPEN_NOW;
}

static void end(struct reaped *l, enum fate fate, enum verified verified) {
    l->fate = (uint8_t)fate;
    l->verified = (uint8_t)verified;
}

/* There is no such socket any more. While a TIME-WAIT of it would still be there, that says there was none. */
static void end_absent(struct reaped *l, uint64_t now) {
    uint64_t earliest = marked(l) ? l->entry.marked_ns / 1000 : l->alive_us;
    bool expected = !marked(l) || open_fate(&l->entry) == FATE_TIME_WAIT || open_fate(&l->entry) >= FATES;
    bool recent = earliest + time_wait_us > now;
    l->stays = l->perhaps_elsewhere;
    if (l->ask && (recent || !expected))
        end(l, !marked(l) ? FATE_NONE : expected ? FATE_RESET : (enum fate)open_fate(&l->entry), VERIFIED_TRUE);
    else
        end(l, expected ? FATE_TIME_WAIT : (enum fate)open_fate(&l->entry), VERIFIED_FALSE);
}

static void end_found(struct reaped *l, uint8_t state, uint64_t entered) {
    if (state == TCP_FIN_WAIT1 && marked(l) && open_without_fin_wait_2(&l->entry)) {
        end(l, FATE_NONE, VERIFIED_TRUE);
        return;
    }
    switch (state) {
    case TCP_TIME_WAIT:
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
    case TCP_CLOSING:
        end(l, FATE_TIME_WAIT, VERIFIED_TRUE);
        if (!marked(l) && entered > connected_us(l))
            l->time_us = entered;
        break;
    case TCP_LAST_ACK:
        end(l, FATE_PASSIVE, VERIFIED_TRUE);
        break;
    default:
        end(l, FATE_SHARED, VERIFIED_TRUE); /* another process has it open */
        break;
    }
}

/* A process that lives has not lost a connection that is there as it was before the exec. */
static bool still_open(const struct reaped *l, uint8_t state) {
    bool half_closed = open_phase(&l->entry) == TCP_STATE_FIN_WAIT_1 || open_phase(&l->entry) == TCP_STATE_FIN_WAIT_2;
    bool on_its_way = state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2;
    return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_SYN_SENT || state == TCP_SYN_RECV ||
           (half_closed && on_its_way);
}

/* MPTCP: its subflow stays as it was until both ends have closed; the connection itself says more. True: judged. */
static bool judge_mptcp(struct reaped *l, uint64_t now) {
    struct diag_answer answer;
    if (!l->ask || l->entry.token == 0)
        return false;
    if (l->entry.token != UINT32_MAX && diag_lookup_mptcp(l->entry.token, &answer) == 0 && answer.state != TCP_CLOSE) {
        if (answer.inode == 0)
            end_found(l, answer.state, now);
        else if (l->alive)
            l->stays = true;
        else
            end(l, FATE_SHARED, VERIFIED_TRUE);
        return true;
    }
    const struct open_entry *h = &l->entry;
    struct tuple tuple = open_tuple(h);
    if (diag_lookup(&tuple, &answer) == 0 && answer.state == TCP_ESTABLISHED)
        l->stays = true;
    return l->stays;
}

/* present: NULL: each is asked about. */
struct kernel {
    int netlink; /* one for all: to open it takes longer than a question */
    struct present *present;
};

static bool is_asked_about(const struct reaped *l) {
    return l->ask && l->entry.local_port != 0;
}

static bool has_all(const struct present *p, const struct reaped *l, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        struct tuple tuple = open_tuple(&l[i].entry);
        if (is_asked_about(&l[i]) && !present_has(p, &tuple))
            return false;
    }
    return true;
}

/* Twice, unless the first dump has all of them: a walk through the kernel's table may miss one that moves meanwhile. */
static struct present *look_for_many(const struct reaped *l, unsigned n) {
    enum { MANY = 1 << 16, LOOKS = 2 };
    unsigned asked = 0;
    for (unsigned i = 0; i < n; i++)
        asked += is_asked_about(&l[i]);
    struct present *p = asked < MANY ? NULL : calloc(1, sizeof *p);
    for (int i = 0; p && i < LOOKS; i++) {
        if (!present_dump(p)) {
            free(p);
            return NULL;
        }
        if (has_all(p, l, n))
            break;
    }
    return p;
}

static int ask(const struct kernel *kernel, const struct reaped *l, struct diag_answer *out) {
    struct tuple tuple = open_tuple(&l->entry);
    if (kernel->present && !present_has(kernel->present, &tuple))
        return -ENOENT;
    return diag_lookup_ending(kernel->netlink, &tuple, marked(l) && open_fate(&l->entry) == FATE_TIME_WAIT, out);
}

static void judge_exact(struct reaped *l, const struct recorded *t, const struct kernel *kernel, uint64_t now) {
    struct diag_answer answer;
    const struct open_entry *h = &l->entry;
    l->recorded = recorded_time_wait(t, &h->local, h->local_port, &h->peer, h->peer_port, connected_us(l) - coarse_us);
    if (judge_mptcp(l, now))
        return;
    int found = l->ask ? ask(kernel, l, &answer) : -ENOENT;
    if (found == -ENOENT)
        end_absent(l, now);
    else if (found != 0)
        end(l, FATE_TIME_WAIT, VERIFIED_FALSE);
    else if (l->alive && still_open(l, answer.state))
        l->stays = true;
    else if (answer.inode != 0 && l->entry.token == 0)
        end(l, FATE_SHARED, VERIFIED_TRUE); /* the last to close it records that */
    else
        end_found(l, answer.state, entered_us(answer.state, answer.expires_ms, time_now_us()));
}

/* --- those whose port is not known --- */

struct search {
    struct reaped *l;
    unsigned n;
    struct unmatched *unmatched; /* [n] */
    unsigned *of;                /* unmatched -> reaped */
    unsigned n_unmatched;
    struct endpoint *destination; /* theirs, sorted, each once */
    unsigned destinations;
    struct candidate *candidate;
    unsigned candidates, room;
    const struct state *state;
    uint64_t now, alive_us, connected_us; /* of all unmatched: the earliest */
    bool failed;
};

static int compare_endpoint(const void *left, const void *right) {
    const struct endpoint *a = left, *b = right;
    int order = addr_compare(&a->addr, &b->addr);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

static bool wanted(const struct search *s, const struct addr *peer, uint16_t peer_port) {
    const struct endpoint one = {.addr = *peer, .port = peer_port};
    return bsearch(&one, s->destination, s->destinations, sizeof one, compare_endpoint) != NULL;
}

static void sort_destinations(struct search *s) {
    unsigned kept = 0;
    qsort(s->destination, s->destinations, sizeof *s->destination, compare_endpoint);
    for (unsigned i = 0; i < s->destinations; i++)
        if (i == 0 || compare_endpoint(&s->destination[kept - 1], &s->destination[i]) != 0)
            s->destination[kept++] = s->destination[i];
    s->destinations = kept;
}

static void consider(const struct dump_socket *d, void *context) {
    struct search *s = context;
    /* By the clock as it is now, not when the dump began: too late a time does no harm, one before the connection began
     * would rule it out. */
    uint64_t entered = entered_us(d->state, d->expires_ms, time_now_us());
    if (d->inode != 0 || entered + second < s->connected_us || !wanted(s, &d->peer, d->peer_port))
        return;
    if (s->candidates == s->room) {
        unsigned more = s->room ? s->room * 2 : 256;
        struct candidate *grown = realloc(s->candidate, more * sizeof *grown);
        if (!grown) {
            s->failed = true;
            return;
        }
        s->candidate = grown;
        s->room = more;
    }
    s->candidate[s->candidates++] = (struct candidate){.local = d->local,
                                                       .peer = d->peer,
                                                       .local_port = d->local_port,
                                                       .peer_port = d->peer_port,
                                                       .state = d->state,
                                                       .entered_us = entered};
}

/* Leaves those that have no event, and will have none. False: no memory. */
static bool drop_recorded(struct search *s) {
    struct recorded recorded;
    unsigned kept = 0;
    if (!recorded_read(&recorded, s->state, s->now - 2 * named_us, true))
        return false;
    for (unsigned i = 0; i < s->candidates; i++) {
        const struct candidate *c = &s->candidate[i];
        /* The event of it may have left the ring. */
        if (c->entered_us < recorded.since_us && c->entered_us + second < s->alive_us)
            continue;
        if (!recorded_named(&recorded, &c->local, c->local_port, &c->peer, c->peer_port, c->entered_us - named_us))
            s->candidate[kept++] = *c;
    }
    s->candidates = kept;
    recorded_free(&recorded);
    return true;
}

static void collect(struct search *s) {
    s->alive_us = s->connected_us = UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++) {
        const struct reaped *l = &s->l[i];
        if (l->entry.local_port != 0 || !l->ask)
            continue;
        s->destination[s->destinations++] = (struct endpoint){.addr = l->entry.peer, .port = l->entry.peer_port};
        s->of[s->n_unmatched] = i;
        s->unmatched[s->n_unmatched++] = (struct unmatched){.local = l->entry.local,
                                                            .peer = l->entry.peer,
                                                            .peer_port = l->entry.peer_port,
                                                            .connected_us = connected_us(l),
                                                            .alive_us = l->alive_us};
        s->alive_us = l->alive_us < s->alive_us ? l->alive_us : s->alive_us;
        s->connected_us = connected_us(l) < s->connected_us ? connected_us(l) : s->connected_us;
    }
    sort_destinations(s);
}

/* A walk through the kernel's table may miss one that moves meanwhile: a search that finds nothing looks once more. */
static bool look(struct search *s) {
    static const uint32_t states = 1u << TCP_TIME_WAIT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSING;
    for (int tries = 0; tries < 2; tries++) {
        unsigned matched = 0;
        s->candidates = 0;
        s->now = time_now_us();
        if (dump_sockets(states, consider, s) != 0 || s->failed || !drop_recorded(s))
            return false;
        match_sockets(s->unmatched, s->n_unmatched, s->candidate, s->candidates);
        for (unsigned i = 0; i < s->n_unmatched; i++)
            matched += s->unmatched[i].candidate != NO_CANDIDATE;
        if (matched == s->n_unmatched)
            break;
    }
    return true;
}

static void judge_by_search(struct reaped *l, unsigned n, const struct state *state, uint64_t now) {
    struct search s = {.l = l, .n = n, .state = state};
    s.unmatched = calloc(n, sizeof *s.unmatched);
    s.of = calloc(n, sizeof *s.of);
    s.destination = calloc(n, sizeof *s.destination);
    if (s.unmatched && s.of && s.destination)
        collect(&s);
    bool looked = s.n_unmatched > 0 && look(&s);
    for (unsigned i = 0; i < s.n_unmatched; i++) {
        struct reaped *one = &l[s.of[i]];
        const struct candidate *c = NULL;
        if (looked && s.unmatched[i].candidate != NO_CANDIDATE)
            c = &s.candidate[s.unmatched[i].candidate];
        if (c) {
            one->local = c->local;
            one->local_port = c->local_port;
            end_found(one, c->state, c->entered_us);
            /* Until its FIN is acknowledged it may be one of a living process, which leaves no TIME-WAIT. */
            one->stays = c->state == TCP_FIN_WAIT1 && one->alive_us + second > now;
        } else if (!looked || one->entry.peer_port == 0) {
            end(one, FATE_TIME_WAIT, VERIFIED_FALSE); /* nothing to search by */
        } else {
            end_absent(one, now);
            /* An MPTCP subflow is no candidate until both ends have closed; it waits as long as a TIME-WAIT would. */
            one->stays |= one->entry.token != 0 && one->alive_us + DEDUP_NS / 1000 > now;
        }
    }
    free(s.unmatched);
    free(s.of);
    free(s.destination);
    free(s.candidate);
}

/* The event of this very connection; or, where the port is known, of its TIME-WAIT, by whatever process. Without the
 * port several may begin at the same time: processes note that by a clock of some milliseconds. */
static bool has_event(const struct recorded *t, const struct reaped *l) {
    const struct open_entry *h = &l->entry;
    uint64_t began_us = connected_us(l);
    return recorded_by_reaper(t, l->pid, l->local_port, &h->peer, h->peer_port, began_us) ||
           (l->local_port != 0 &&
            recorded_time_wait(t, &l->local, l->local_port, &h->peer, h->peer_port, began_us - coarse_us));
}

/* A reaper that died over it, or that works at this moment, wrote an event before it freed the entry: so this comes
 * last. */
static void mark_recorded(struct reaped *l, unsigned n, const struct state *s, uint64_t from_us) {
    struct recorded recorded;
    unsigned first = 0;
    while (first < n && !l[first].second_hand)
        first++;
    if (first == n)
        return;
    bool known = recorded_read(&recorded, s, from_us - coarse_us, false);
    for (unsigned i = first; i < n; i++) {
        if (!l[i].second_hand)
            continue;
        if (known)
            l[i].recorded |= has_event(&recorded, &l[i]);
        else
            l[i].stays = true;
    }
    if (known)
        recorded_free(&recorded);
}

void reaped_judge(struct reaped *l, unsigned n, const struct state *s) {
    struct recorded recorded = {0};
    uint64_t now = time_now_us(), from_us = UINT64_MAX;
    bool search = false;
    const struct kernel kernel = {.netlink = diag_open(), .present = look_for_many(l, n)};
    for (unsigned i = 0; i < n; i++)
        from_us = connected_us(&l[i]) < from_us ? connected_us(&l[i]) : from_us;
    (void)recorded_read(&recorded, s, from_us - coarse_us, false);
    for (unsigned i = 0; i < n; i++) {
        const struct open_entry *h = &l[i].entry;
        l[i].via = h->word == OPEN_TO_EXEC ? VIA_EXEC : h->word == OPEN_TO_EXIT ? VIA_EXIT : VIA_KILLED;
        l[i].time_us = marked(&l[i]) && h->marked_ns ? h->marked_ns / 1000 : now;
        l[i].local = h->local;
        l[i].local_port = h->local_port;
        if (h->local_port != 0)
            judge_exact(&l[i], &recorded, &kernel, now);
        else if (l[i].ask)
            search = true;
        else
            end_absent(&l[i], now);
    }
    if (kernel.netlink >= 0)
        (void)close(kernel.netlink);
    free(kernel.present);
    if (search)
        judge_by_search(l, n, s, now);
    recorded_free(&recorded);
    mark_recorded(l, n, s, from_us);
}
