#include "tool/reaper/aftermath.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "net/diag.h"
#include "tool/common/text_file.h"
#include "tool/common/time_text.h"
#include "tool/host/dump.h"
#include "tool/host/netns.h"

#define MS     ((uint64_t)1000000)
#define SECOND (1000 * MS)

/* A TIME-WAIT lasts 60 s from when it was entered. */
static const uint64_t time_wait_ns = 58 * SECOND, time_wait_us = 58000000;

/* FIN-WAIT-2 for tcp_fin_timeout, then TIME-WAIT. */
static const uint64_t longest_us = 130000000;

enum { QUESTIONS = 45000, FIRST_PAUSE_MS = 250, LONGEST_PAUSE_MS = 5000, DUMP_PAUSE_MS = 200, DUMP_SHARE = 20 };
enum { LOOKS = 4 };
#define SPARE (2 * SECOND) /* a round may come so late */
enum { DUMP_STATES = 0xfff & ~(1 << TCP_CLOSE) };

/* GOING: on its way there; also open still, or again: an MPTCP subflow until the peer has closed, or the quadruplet's
 * next connection, for which the TIME-WAIT has made room. */
enum answer { THERE, GOING, MISSING, UNASKED };

static uint64_t hash_peer(const struct addr *peer, uint16_t port) {
    uint64_t h = port;
    for (unsigned i = 0; i < sizeof peer->b; i++)
        h = (h ^ peer->b[i]) * UINT64_C(0x100000001b3);
    return (h ^ h >> 29) | 1;
}

static bool is_proven(const struct aftermath *a, const struct event *e) {
    uint64_t hash = hash_peer(&e->peer, e->peer_port);
    return a->proven[hash % AFTERMATH_PEERS] == hash;
}

/* "TcpExt: NAME ..." and in the next line "TcpExt: NUMBER ...". 0: it does not say. */
static uint64_t read_overflows(void) {
    char *text = text_file("/proc/net/netstat"), *names = text ? strstr(text, "TcpExt:") : NULL;
    char *numbers = names ? strstr(names + 1, "TcpExt:") : NULL, *rest_of_names, *rest_of_numbers;
    uint64_t n = 0;
    if (numbers) {
        numbers[-1] = 0;
        char *name = strtok_r(names, " \n", &rest_of_names), *number = strtok_r(numbers, " \n", &rest_of_numbers);
        while (name && number && strcmp(name, "TCPTimeWaitOverflow") != 0) {
            name = strtok_r(NULL, " \n", &rest_of_names);
            number = strtok_r(NULL, " \n", &rest_of_numbers);
        }
        n = name && number ? strtoull(number, NULL, 10) : 0;
    }
    free(text);
    return n;
}

void aftermath_begin(struct aftermath *a, enum aftermath_reader reader) {
    a->heed_until = reader == AFTERMATH_RECORDING ? 0 : UINT64_MAX;
    a->goes_on = reader != AFTERMATH_ONCE;
    a->netns = netns_cookie();
    a->netlink = diag_open();
    a->overflows[0] = a->overflows[1] = read_overflows();
    if (a->netlink >= 0 && (a->netns == 0 || diag_answers(a->netlink) != 1))
        aftermath_end(a);
}

void aftermath_end(struct aftermath *a) {
    if (a->netlink >= 0)
        (void)close(a->netlink);
    a->netlink = -1;
}

/* --- one question --- */

static bool may_ask(struct aftermath *a, uint64_t now) {
    if (a->second != now / SECOND) {
        a->second = now / SECOND;
        a->asked = 0;
    }
    return a->asked < QUESTIONS;
}

static enum answer ask(struct aftermath *a, const struct event *e, uint32_t interface, struct diag_answer *out) {
    struct tuple tuple = tuple_of(&e->local, e->local_port, &e->peer, e->peer_port);
    tuple.interface = interface;
    a->asked++;
    int found = diag_ask(a->netlink, &tuple, out);
    if (found == -ENOENT)
        return MISSING;
    if (found != 0)
        return UNASKED;
    uint64_t hash = hash_peer(&e->peer, e->peer_port);
    if (e->direction == OUTBOUND) /* of what was accepted there would be too many */
        a->proven[hash % AFTERMATH_PEERS] = hash;
    return tcp_state_from_kernel(out->state) == TCP_STATE_TIME_WAIT ? THERE : GOING;
}

/* --- cases --- */

static struct aftermath_case *add_case(struct aftermath *a, const struct event *e, uint64_t now) {
    if (a->n == AFTERMATH_CASES)
        return NULL;
    struct aftermath_case *c = &a->one[a->n++];
    *c = (struct aftermath_case){.e = *e, .seen = now, .due = now, .pause_ms = FIRST_PAUSE_MS};
    return c;
}

static void remove_case(struct aftermath *a, struct aftermath_case *c) {
    a->missing -= c->missing;
    *c = a->one[--a->n];
}

static void set_missing(struct aftermath *a, struct aftermath_case *c, bool missing) {
    a->missing += missing;
    a->missing -= c->missing;
    c->missing = missing;
}

/* It is on its way. Once more right before it would end by itself, and right after: so that it is known why. */
static void look_later(struct aftermath *a, struct aftermath_case *c, const struct diag_answer *answer, uint64_t now) {
    enum { TIMER_TIME_WAIT = 3 };
    bool ends = tcp_state_from_kernel(answer->state) == TCP_STATE_FIN_WAIT_2 && answer->timer == TIMER_TIME_WAIT;
    set_missing(a, c, false);
    c->seen = now;
    c->phase = (uint8_t)tcp_state_from_kernel(answer->state);
    c->expires = ends ? now + answer->expires_ms * MS : 0;
    c->due = now + c->pause_ms * MS;
    c->pause_ms = c->pause_ms * 2 < LONGEST_PAUSE_MS ? c->pause_ms * 2 : LONGEST_PAUSE_MS;
    if (ends && c->due > c->expires)
        c->due = answer->expires_ms > 50 ? c->expires - 50 * MS : c->expires + 50 * MS;
}

/* It is there. A reset ends a TIME-WAIT, too, if net.ipv4.tcp_rfc1337 is 0, and a slow peer sends it late: so it is
 * looked at again, after 1, 2, 4 and 8 s; where there are many, once. Never when it may have ended by itself. */
static void look_once_more(struct aftermath *a, struct aftermath_case *c, const struct diag_answer *answer,
                           uint64_t now) {
    set_missing(a, c, false);
    c->seen = now;
    c->phase = TCP_STATE_TIME_WAIT;
    c->expires = now + answer->expires_ms * MS;
    c->due = now + (SECOND << c->looks);
    if (c->looks++ == LOOKS || (c->looks > 1 && a->n > AFTERMATH_CASES / 4) || c->due + SPARE > c->expires)
        remove_case(a, c);
}

static bool may_have_ended(const struct aftermath_case *c, uint64_t now) {
    return c->phase == TCP_STATE_TIME_WAIT && !c->missing && now + SPARE > c->expires;
}

static bool can_be_asked(const struct aftermath *a, const struct event *e, uint64_t max_us) {
    uint64_t now = time_now_us(), decided = e->time_us - (uint64_t)e->decided_before_ms * 1000;
    return a->netlink >= 0 && e->kind == EVENT_TIME_WAIT && e->netns == a->netns && e->local_port != 0 &&
           e->time_us <= now + 1000000 && decided <= now + 1000000 && now < decided + max_us;
}

static void forget(struct aftermath *a, uint64_t seq) {
    for (unsigned i = 0; i < a->n; i++)
        if (a->one[i].e.seq == seq) {
            remove_case(a, &a->one[i]);
            return;
        }
}

bool aftermath_read(struct aftermath *a, struct event *e, bool last) {
    struct diag_answer answer = {0};
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (e->kind == EVENT_TIME_WAIT_GONE && now < a->heed_until)
        forget(a, e->age_us);
    if (!can_be_asked(a, e, time_wait_us) || !may_ask(a, now))
        return true;
    enum answer what = ask(a, e, 0, &answer);
    bool open = what == GOING || what == MISSING;
    if (what == THERE)
        e->verified = VERIFIED_TRUE;
    bool again = open ? last : what == THERE && a->goes_on;
    struct aftermath_case *c = again ? add_case(a, e, now) : NULL;
    if (c && what == GOING)
        look_later(a, c, &answer, now);
    else if (c && what == MISSING)
        set_missing(a, c, true);
    else if (c)
        look_once_more(a, c, &answer, now);
    return !open || last;
}

void aftermath_resume(struct aftermath *a, const struct event *e) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    struct aftermath_case *c = can_be_asked(a, e, longest_us) ? add_case(a, e, now) : NULL;
    if (!c)
        return;
    c->due += 2 * SECOND; /* time for a time-wait-gone that stands behind it */
    a->heed_until = now + 10 * SECOND;
}

/* --- what nothing was found of --- */

static void look_at_socket(const struct dump_socket *s, void *context) {
    struct aftermath *a = context;
    uint64_t hash = hash_peer(&s->peer, s->peer_port), *doubted = &a->doubted[hash % AFTERMATH_PEERS];
    if (*doubted == hash)
        a->proven[hash % AFTERMATH_PEERS] = hash;
    for (uint32_t at = a->first[s->local_port]; at != 0;) {
        struct aftermath_case *c = &a->one[at - 1];
        bool local = addr_compare(&s->local, &c->e.local) == 0;
        bool peer = s->peer_port == c->e.peer_port && addr_compare(&s->peer, &c->e.peer) == 0;
        c->listener |= s->state == TCP_LISTEN;
        if (local && peer) {
            c->found = true;
            c->interface = s->interface;
        }
        c->elsewhere += local && !peer && s->state != TCP_LISTEN;
        at = c->next;
    }
}

static bool dump(struct aftermath *a) {
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    memset(a->first, 0, sizeof a->first);
    memset(a->doubted, 0, sizeof a->doubted);
    for (unsigned i = 0; i < a->n; i++) {
        struct aftermath_case *c = &a->one[i];
        if (!c->missing)
            continue;
        uint64_t hash = hash_peer(&c->e.peer, c->e.peer_port);
        a->doubted[hash % AFTERMATH_PEERS] = hash;
        c->found = c->listener = false;
        c->elsewhere = 0;
        c->next = a->first[c->e.local_port];
        a->first[c->e.local_port] = i + 1;
    }
    int error = dump_sockets(DUMP_STATES, look_at_socket, a);
    uint64_t now = clock_ns(CLOCK_MONOTONIC), took = now - began;
    a->dump_at = now + (took * DUMP_SHARE > DUMP_PAUSE_MS * MS ? took * DUMP_SHARE : DUMP_PAUSE_MS * MS);
    return error == 0;
}

static enum gone_reason reason_of(const struct aftermath_case *c, uint64_t now, uint64_t *overflows) {
    /* Later the quadruplet's next connection may have come and gone between two looks. */
    if (c->phase == TCP_STATE_TIME_WAIT)
        return c->looks > 1 ? GONE_UNKNOWN : GONE_RESET;
    if (*overflows > 0) {
        --*overflows;
        return GONE_OVERFLOW;
    }
    if (c->phase == TCP_STATE_FIN_WAIT_2 && c->expires && now >= c->expires)
        return GONE_FIN_TIMEOUT;
    return now - c->seen < 2 * LONGEST_PAUSE_MS * MS ? GONE_RESET : GONE_UNKNOWN;
}

static void tell(const struct aftermath_case *c, enum gone_reason reason, aftermath_each *each, void *context) {
    struct event_record r = {.e = c->e};
    uint64_t now = time_now_us(), after = now > c->e.time_us ? now - c->e.time_us : 0;
    r.e.kind = EVENT_TIME_WAIT_GONE;
    r.e.time_us = c->e.time_us + after;
    r.e.decided_before_ms = (uint32_t)((after + 500) / 1000);
    r.e.age_us = c->e.seq;
    r.e.phase = c->phase;
    r.e.via = (uint8_t)reason;
    r.e.seq = 0;
    each(&r, context);
}

/* What an answer about a case means for it; UNASKED: the case is closed. What was in TIME-WAIT and goes on has made
 * room for the quadruplet's next connection: it was there, as its event says. */
static void follow(struct aftermath *a, struct aftermath_case *c, enum answer what, const struct diag_answer *answer,
                   uint64_t now) {
    switch (what) {
    case THERE:
        look_once_more(a, c, answer, now);
        break;
    case GOING:
        if (c->phase == TCP_STATE_TIME_WAIT)
            remove_case(a, c);
        else
            look_later(a, c, answer, now);
        break;
    case MISSING: /* by the clock now: this process may have been held up before its question */
        if (may_have_ended(c, clock_ns(CLOCK_MONOTONIC)))
            remove_case(a, c);
        else
            set_missing(a, c, true);
        break;
    default:
        remove_case(a, c);
        break;
    }
}

/* It may be there, or be found to be gone soon. */
static void doubt(struct aftermath *a, struct aftermath_case *c, uint64_t now) {
    set_missing(a, c, false);
    c->due = now + c->pause_ms * MS;
    c->pause_ms *= 2;
    if (c->doubts++ == LOOKS)
        remove_case(a, c);
}

/* A dump has been made. A name under which nothing was ever found may be one that is translated: then the one
 * other socket of this local end is it, perhaps, with the peer that it really has, unless another connection is found
 * under that name soon. What was accepted has its peer's name. What the dump found may be gone since. */
static void confirm(struct aftermath *a, aftermath_each *each, void *context) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC), overflows = read_overflows() - a->overflows[1];
    struct diag_answer answer;
    for (unsigned i = a->n; i-- > 0;) {
        struct aftermath_case *c = &a->one[i];
        if (!c->missing)
            continue;
        bool named = is_proven(a, &c->e) || c->e.direction == INBOUND || c->listener;
        bool sure = !c->found && (named || c->elsewhere != 1);
        enum answer what = sure || c->found ? ask(a, &c->e, c->interface, &answer) : MISSING;
        if (what == MISSING && !sure) {
            doubt(a, c, now);
            continue;
        }
        if (what == MISSING)
            tell(c, reason_of(c, now, &overflows), each, context);
        follow(a, c, what == MISSING ? UNASKED : what, &answer, now);
    }
}

/* --- what is due --- */

/* So that what has overflowed since can be told from what had before. */
static void count_overflows(struct aftermath *a, uint64_t now) {
    if (now < a->count_at || a->missing > 0)
        return;
    a->overflows[1] = a->overflows[0];
    a->overflows[0] = read_overflows();
    a->count_at = now + SECOND;
}

void aftermath_round(struct aftermath *a, aftermath_each *each, void *context) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC), now_us = time_now_us();
    struct diag_answer answer = {0};
    if (a->netlink < 0)
        return;
    count_overflows(a, now);
    for (unsigned i = a->n; i-- > 0;) {
        struct aftermath_case *c = &a->one[i];
        if (now - c->seen > time_wait_ns || now_us - c->e.time_us > longest_us || may_have_ended(c, now))
            remove_case(a, c);
        else if (!c->missing && now >= c->due && may_ask(a, now))
            follow(a, c, ask(a, &c->e, c->interface, &answer), &answer, now);
    }
    if (a->missing > 0 && now >= a->dump_at && dump(a))
        confirm(a, each, context);
}

void aftermath_conclude(struct aftermath *a, aftermath_each *each, void *context) {
    if (a->netlink >= 0 && a->missing > 0 && dump(a))
        confirm(a, each, context);
}
