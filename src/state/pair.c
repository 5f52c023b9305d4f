#include "state/pair.h"
#include "policy/order.h"
#include "state/pair_table.h"

#include <stddef.h>
#include <string.h>

enum { PERIODS = 16, PERIOD_BITS = 12, COUNT_BITS = 20, BUDGET_AHEAD = 5 /* seconds */ };
#define SECOND    1000000000u
#define PERIOD_NS ((uint64_t)4 * SECOND)
#define MS        1000000u

/* A sum of products, each of one word of the key with an odd number of its own: they do not wait for each other.
 * Folding a word first lets its upper half, where an IPv4 address lies, reach every bit. */
static uint64_t spread(uint64_t word, uint64_t odd) {
    return (word ^ word >> 32) * odd;
}

static uint64_t spread_addr(const struct addr *a, uint64_t odd0, uint64_t odd1) {
    uint64_t word[2];
    memcpy(word, a->b, sizeof word);
    return spread(word[0], odd0) + spread(word[1], odd1);
}

uint64_t pair_key(uint64_t netns, const struct addr *source, const struct endpoint *destination) {
    uint64_t h = spread(netns + 1, 0x9e3779b97f4a7c15u) + spread_addr(source, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu);
    if (destination)
        h += spread_addr(&destination->addr, 0xff51afd7ed558ccdu, 0xc4ceb9fe1a85ec53u) +
             spread((uint64_t)destination->port + 1, 0xd6e8feb86659fd93u);
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    h = (h ^ h >> 29) & ~PAIR_CONFINED;
    return h ? h : 1;
}

uint32_t pair_first_source(const struct match *match, const struct endpoint *destination, uint32_t turn,
                           uint64_t epoch) {
    uint64_t hash = match->policy == POOL_HASH ? pair_key(0, &destination->addr, destination) : 0;
    return order_first((enum pool_policy)match->policy, match->total, turn, epoch, hash);
}

static uint64_t load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t v) {
    __atomic_store_n(word, v, __ATOMIC_RELAXED);
}

bool pair_held_down(const struct pair *p, uint64_t now) {
    uint64_t hold = p ? load(&p->hold_until) : 0;
    /* A time too far ahead was never written by us: a scribble must not take a source out for ever. */
    if (hold > now)
        return hold - now <= (uint64_t)HOLD_DOWN_MS * MS;
    return hold != 0 && now - hold < (uint64_t)SUSPECT_MS * MS;
}

/* For how long a pair with so many unanswered connects in a row is marked down. ns. */
static uint64_t down_period(unsigned unanswered) {
    unsigned doublings = unanswered > UNANSWERED ? unanswered - UNANSWERED : 0;
    uint64_t ms = (uint64_t)DOWN_MS << (doublings < 8 ? doublings : 8);
    return (ms < DOWN_MAX_MS ? ms : DOWN_MAX_MS) * MS;
}

/* Marked down, and not its turn? One caller in a period tries all the same. A time too far ahead is a scribble. */
static bool is_down(struct pair *p, uint64_t now) {
    uint64_t down = load(&p->down_until);
    if (down == 0)
        return false;
    if (down > now && down - now <= (uint64_t)DOWN_MAX_MS * MS)
        return true;
    uint64_t next = now + down_period(__atomic_load_n(&p->unanswered, __ATOMIC_RELAXED));
    return !__atomic_compare_exchange_n(&p->down_until, &down, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool pair_may_try(struct pair *p, uint64_t now) {
    if (!p)
        return true;
    uint64_t unusable = load(&p->unusable_until);
    if (unusable > now && unusable - now <= (uint64_t)QUARANTINE_MS * MS)
        return false;
    if (!pair_held_down(p, now))
        return !is_down(p, now);
    if (load(&p->down_until) != 0)
        return false;
    uint64_t probe = load(&p->probe_next);
    return probe <= now && __atomic_compare_exchange_n(&p->probe_next, &probe, now + (uint64_t)PROBE_MS * MS, false,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool pair_full(struct pair *p, uint64_t now, uint64_t searched) {
    uint64_t pause = (uint64_t)PROBE_MS * MS;
    if (!p)
        return true;
    if (searched * 5 > pause)
        pause = searched * 5 < (uint64_t)PROBE_MAX_MS * MS ? searched * 5 : (uint64_t)PROBE_MAX_MS * MS;
    uint64_t before = __atomic_exchange_n(&p->hold_until, now + (uint64_t)HOLD_DOWN_MS * MS, __ATOMIC_RELAXED);
    store(&p->probe_next, now + pause);
    __atomic_fetch_add(&p->hold_count, 1, __ATOMIC_RELAXED);
    return before <= now || before - now > (uint64_t)HOLD_DOWN_MS * MS;
}

bool pair_set_unusable(struct pair *p, uint64_t now, unsigned ms) {
    if (!p)
        return true;
    return __atomic_exchange_n(&p->unusable_until, now + (uint64_t)ms * MS, __ATOMIC_RELAXED) == 0;
}

bool pair_worked(struct pair *p) {
    if (!p)
        return false;
    /* A connect that got through a hold-down has shown that there is room again. */
    if (load(&p->hold_until) != 0)
        store(&p->hold_until, 0);
    if (load(&p->unusable_until) == 0)
        return false;
    return __atomic_exchange_n(&p->unusable_until, 0, __ATOMIC_RELAXED) != 0;
}

void pair_answered(struct pair *p, uint64_t began) {
    if (!p)
        return;
    if (began > load(&p->answered_ns) + ANSWERED_MS * MS)
        store(&p->answered_ns, began);
    /* One that began before the last evidence against it proves nothing. */
    bool doubted = __atomic_load_n(&p->unanswered, __ATOMIC_RELAXED) || __atomic_load_n(&p->suspect, __ATOMIC_RELAXED);
    if (doubted && began > load(&p->counted_ns)) {
        __atomic_store_n(&p->unanswered, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&p->suspect, 0, __ATOMIC_RELAXED);
        store(&p->down_until, 0);
    }
}

uint64_t pair_last_answer(const struct pair *p, uint64_t now) {
    uint64_t answered = p ? load(&p->answered_ns) : 0;
    return answered <= now ? answered : 0;
}

/* How many of the last two are confirmed by what the siblings say: this one, by an answer while it waited, and the one
 * before, by an answer since it was given up. */
static unsigned confirmed(struct pair *p, uint64_t before, uint64_t began, uint64_t sibling) {
    bool this_one = sibling > began;
    bool suspect = __atomic_exchange_n(&p->suspect, !this_one, __ATOMIC_RELAXED);
    return (this_one ? 1u : 0u) + (suspect && sibling > before ? 1u : 0u);
}

_Static_assert(offsetof(struct pair, source) % 8 == 0 && offsetof(struct pair, destination) % 8 == 0,
               "stored by words");

static void store_addr(struct addr *to, const struct addr *from) {
    uint64_t word[2];
    memcpy(word, from->b, sizeof word);
    store((uint64_t *)(void *)to->b, word[0]);
    store((uint64_t *)(void *)to->b + 1, word[1]);
}

void pair_label(struct pair *p, const struct pair_flow *flow) {
    store_addr(&p->source, flow->source);
    store_addr(&p->destination, &flow->destination->addr);
    __atomic_store_n(&p->port, flow->destination->port, __ATOMIC_RELAXED);
    __atomic_store_n(&p->rule_id, flow->rule_id, __ATOMIC_RELAXED);
}

bool pair_unanswered(struct pair *p, const struct pair_flow *flow, const struct pair_wait *wait, uint64_t sibling) {
    if (!p || pair_last_answer(p, wait->ended) > wait->began)
        return false;
    /* Begun when it was not known yet that the pair is down: none that tries it. */
    uint64_t before = load(&p->counted_ns), late = pair_is_down(p) ? wait->told - wait->ended : 0;
    bool at_once = before + late >= wait->began && before <= wait->ended;
    if (at_once ||
        !__atomic_compare_exchange_n(&p->counted_ns, &before, wait->ended, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    unsigned more = confirmed(p, before, wait->began, sibling);
    unsigned n = __atomic_load_n(&p->unanswered, __ATOMIC_RELAXED) + more;
    n = n < UINT16_MAX ? n : UINT16_MAX;
    __atomic_store_n(&p->unanswered, (uint16_t)n, __ATOMIC_RELAXED);
    if (more == 0 || n < UNANSWERED)
        return false;
    pair_label(p, flow);
    __atomic_store_n(&p->down_until, wait->ended + down_period(n), __ATOMIC_RELEASE);
    return true;
}

bool pair_is_down(const struct pair *p) {
    return load(&p->down_until) != 0 && __atomic_load_n(&p->unanswered, __ATOMIC_RELAXED) >= UNANSWERED;
}

int pair_port(struct pair *p, uint32_t size) {
    uint8_t search = p ? __atomic_load_n(&p->search, __ATOMIC_RELAXED) : 1;
    if (search != 0) {
        if (p)
            __atomic_store_n(&p->search, search - 1, __ATOMIC_RELAXED);
        return -1;
    }
    uint16_t turn = __atomic_load_n(&p->port_turn, __ATOMIC_RELAXED);
    for (int tries = 0; tries < 4; tries++) { /* one that loses it four times searches */
        uint16_t next = turn + 1u < size ? (uint16_t)(turn + 1) : 0;
        if (__atomic_compare_exchange_n(&p->port_turn, &turn, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return turn < size ? turn : 0;
    }
    return -1;
}

void pair_port_taken(struct pair *p) {
    if (p)
        __atomic_store_n(&p->search, (uint8_t)SEARCHES, __ATOMIC_RELAXED);
}

/* A second and how many were told in it are one word, so none that begins a second loses what another told in it. Each
 * try that fails is one that another told: after more than a second's number this one is turned away. */
bool pair_within_budget(struct pair *p, uint64_t now, unsigned per_second, uint32_t *repeats) {
    *repeats = 0;
    if (!p)
        return true;
    uint64_t word = load(&p->probe_next);
    for (unsigned tries = 0; tries <= per_second; tries++) {
        uint64_t second = now / SECOND, window = word >> 32, told = word & UINT32_MAX;
        /* A little ahead: of a process that read the clock after us; that second stands. Far ahead: a scribble. */
        if (window < second || window - second > BUDGET_AHEAD)
            told = 0;
        else
            second = window;
        if (told >= per_second)
            break;
        if (__atomic_compare_exchange_n(&p->probe_next, &word, second << 32 | (told + 1), false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            *repeats = (uint32_t)__atomic_exchange_n(&p->inside_until, 0, __ATOMIC_RELAXED);
            return true;
        }
    }
    __atomic_fetch_add(&p->inside_until, 1, __ATOMIC_RELAXED);
    return false;
}

bool pair_turn(struct pair *p, uint64_t now, unsigned ms) {
    uint64_t next = p ? load(&p->probe_next) : UINT64_MAX;
    /* Far ahead: a scribble. A little further than one turn: perhaps of a process that read the clock after us. */
    bool due = next <= now || next - now > 2 * (uint64_t)ms * MS;
    return p && due &&
           __atomic_compare_exchange_n(&p->probe_next, &next, now + (uint64_t)ms * MS, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

void pair_opened(struct pair *p, uint64_t now) {
    if (!p)
        return;
    store(&p->last_used, now);
    __atomic_fetch_add(&p->open, 1, __ATOMIC_RELAXED); /* last, see open_table_count */
}

static uint32_t period_tag(uint64_t now) {
    return (uint32_t)(now / PERIOD_NS) & ((1u << PERIOD_BITS) - 1);
}

void pair_waits(struct pair *p, uint64_t now) {
    if (!p)
        return;
    uint32_t tag = period_tag(now), *bucket = &p->time_wait[tag % PERIODS];
    uint32_t old = __atomic_load_n(bucket, __ATOMIC_RELAXED), fresh;
    for (int tries = 0; tries < 16; tries++) { /* lock-free and bounded: a lost count is a lost hint */
        fresh = old >> COUNT_BITS == tag ? old + 1 : (tag << COUNT_BITS | 1);
        if (__atomic_compare_exchange_n(bucket, &old, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    }
}

void pair_closed(struct pair *p, bool time_wait, uint64_t now) {
    if (!p)
        return;
    if (load(&p->hold_until) != 0)
        store(&p->hold_until, 0);
    store(&p->last_used, now); /* the TIME-WAIT is still to come: not idle for as long */
    if (time_wait)
        pair_waits(p, now);
    __atomic_fetch_sub(&p->open, 1, __ATOMIC_RELAXED); /* last, see open_table_uncount */
}

void pair_left(const struct state *s, uint64_t netns, const struct open_entry *h, bool time_wait, uint64_t now) {
    const struct endpoint peer = {.addr = h->peer, .port = h->peer_port};
    const struct addr any = {{0}};
    const struct addr *source = h->counted == OPEN_COUNTED_ANY ? &any : &h->local;
    uint64_t key = pair_key(netns, source, &peer);
    if (h->counted != OPEN_UNCOUNTED)
        pair_closed(pair_find(s, h->pool_id ? key : pair_key_unruled(key), false, now), time_wait, now);
}

uint32_t pair_open(const struct pair *p) {
    int32_t n = p ? __atomic_load_n(&p->open, __ATOMIC_RELAXED) : 0;
    return n > 0 ? (uint32_t)n : 0;
}

uint32_t pair_time_waits(const struct pair *p, uint64_t now) {
    uint32_t sum = 0, tag = period_tag(now);
    for (unsigned i = 0; p && i < PERIODS; i++) {
        uint32_t bucket = __atomic_load_n(&p->time_wait[i], __ATOMIC_RELAXED);
        uint32_t age = (tag - (bucket >> COUNT_BITS)) & ((1u << PERIOD_BITS) - 1);
        if (age < PERIODS)
            sum += bucket & ((1u << COUNT_BITS) - 1);
    }
    return sum;
}
