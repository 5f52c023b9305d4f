#include "state/stats.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/lane.h"
#include "state/pair.h"
#include "state/control.h"

enum { PROBES = 32 };

/* As they lie in struct stat_entry. */
struct labels {
    _Alignas(8) struct addr source; /* read by words */
    uint16_t rule_id;
    uint8_t arm, lane, prefix, zero[3];
};
typedef uint64_t __attribute__((may_alias)) label_word;
enum { LABEL_WORDS = sizeof(struct labels) / sizeof(label_word) };
_Static_assert(offsetof(struct stat_entry, zero1) - offsetof(struct stat_entry, source) == sizeof(struct labels) &&
                   offsetof(struct stat_entry, arm) - offsetof(struct stat_entry, source) ==
                       offsetof(struct labels, arm),
               "the same members");

/* The process that took the entry may have been killed before it could say for what: so each that comes by says it.
 * They all say the same, and readers take only an entry whose labels make its key. Relaxed, word by word: others may be
 * at it, too. */
static struct stat_entry *label(struct stat_entry *e, const struct labels *fresh) {
    const label_word *from = (const label_word *)(const void *)fresh;
    label_word *to = (label_word *)(void *)&e->source;
#pragma GCC unroll 3
    for (unsigned i = 0; i < LABEL_WORDS; i++)
        if (__atomic_load_n(&to[i], __ATOMIC_RELAXED) != from[i])
            __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    return e;
}

uint64_t stats_key(unsigned arm, uint16_t rule_id, unsigned lane, const struct addr *source, unsigned prefix) {
    return pair_key((uint64_t)prefix << 40 | (uint64_t)lane << 32 | (uint64_t)rule_id << 8 | arm | 1u << 31, source,
                    NULL);
}

static uint64_t key_of(const struct labels *labels) {
    return stats_key(labels->arm, labels->rule_id, labels->lane, &labels->source, labels->prefix);
}

/* This thread's entry with these labels, made if need be. NULL: there is no room. */
static struct stat_entry *find(const struct state *s, const struct labels *labels, uint64_t key) {
    for (unsigned i = 0; i < PROBES; i++) {
        struct stat_entry *e = s->stat + (key + i) % STATS;
        uint64_t k = __atomic_load_n(&e->key, __ATOMIC_ACQUIRE);
        if (k == 0 && __atomic_compare_exchange_n(&e->key, &k, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            k = key;
        if (k == key)
            return label(e, labels);
    }
    return NULL;
}

static bool is_there(const struct state *s, uint64_t key) {
    for (unsigned i = 0; i < PROBES; i++) {
        uint64_t k = __atomic_load_n(&s->stat[(key + i) % STATS].key, __ATOMIC_ACQUIRE);
        if (k == key || k == 0)
            return k == key;
    }
    return false;
}

static struct labels labels_of(enum arm arm, uint16_t rule_id, const struct addr *source) {
    return (struct labels){
        .source = *source, .rule_id = rule_id, .arm = (uint8_t)arm, .lane = (uint8_t)thread_lane(STAT_LANES)};
}

/* Of IPv6 a /64; of IPv4 a /24, or a /16 where those are too many. */
enum { PREFIX_V6 = 64, PREFIX_V4 = 96 + 24, PREFIX_V4_WIDE = 96 + 16 };

static struct labels cut(struct labels labels, unsigned prefix) {
    memset(labels.source.b + prefix / 8, 0, sizeof labels.source.b - prefix / 8);
    labels.prefix = (uint8_t)prefix;
    return labels;
}

/* Made by a thread of any lane: then it is made by this one's as well. */
static bool has_prefix(const struct state *s, const struct labels *labels, struct labels *out) {
    bool v4 = addr_is_v4(&labels->source);
    for (unsigned i = 0; i < (v4 ? 2 : 1); i++) {
        *out = cut(*labels, !v4 ? PREFIX_V6 : i ? PREFIX_V4_WIDE : PREFIX_V4);
        for (out->lane = 0; out->lane < STAT_LANES; out->lane++)
            if (is_there(s, key_of(out))) {
                out->lane = labels->lane;
                return true;
            }
    }
    return false;
}

/* Apart: an entry is made once. */
__attribute__((noinline)) static struct stat_entry *make(const struct state *s, const struct labels *labels) {
    struct labels other;
    if (!has_prefix(s, labels, &other))
        other = *labels;
    struct stat_entry *e = find(s, &other, key_of(&other));
    other = *labels;
    other.source = (struct addr){{0}};
    other.prefix = 0;
    return e ? e : find(s, &other, key_of(&other));
}

__attribute__((noinline)) struct stat_entry *stats_find(const struct state *s, enum arm arm, uint16_t rule_id,
                                                        const struct addr *source) {
    const struct labels labels = labels_of(arm, rule_id, source);
    uint64_t key = key_of(&labels);
    struct stat_entry *e = s->stat + key % STATS;
    if (__atomic_load_n(&e->key, __ATOMIC_ACQUIRE) == key)
        return label(e, &labels);
    return is_there(s, key) ? find(s, &labels, key) : make(s, &labels);
}

struct stat_entry *stats_find_of_many(const struct state *s, enum arm arm, uint16_t rule_id, const struct addr *source,
                                      uint32_t addresses) {
    if (addresses <= STATS_SOURCES || addr_is_any(source))
        return stats_find(s, arm, rule_id, source);
    struct labels labels = labels_of(arm, rule_id, source);
    bool wide = addresses > STATS_SOURCES * 256u;
    labels = cut(labels, !addr_is_v4(source) ? PREFIX_V6 : wide ? PREFIX_V4_WIDE : PREFIX_V4);
    struct stat_entry *e = find(s, &labels, key_of(&labels));
    return e ? e : make(s, &labels);
}

unsigned stats_number(const struct state *s, const struct stat_entry *e) {
    return e ? (unsigned)(e - s->stat) + 1 : 0;
}

struct stat_entry *stats_of_number(const struct state *s, unsigned number) {
    return number - 1 < STATS ? &s->stat[number - 1] : NULL;
}

void stats_add(struct stat_entry *e, unsigned counter) {
    if (e && counter < STAT_COUNTERS)
        __atomic_fetch_add(counter < STAT_RARE ? &e->counter[counter] : &e->rare[counter - STAT_RARE], 1,
                           __ATOMIC_RELAXED);
}

enum counter counter_of_fate(enum fate fate) {
    static const uint8_t counter[FATES] = {
        [FATE_TIME_WAIT] = COUNT_TIME_WAIT, [FATE_PASSIVE] = COUNT_PASSIVE, [FATE_RESET] = COUNT_RESET,
        [FATE_SHARED] = COUNT_SHARED,       [FATE_NONE] = COUNT_NONE,
    };
    return (enum counter)counter[fate < FATES ? fate : FATE_NONE];
}

void stats_close(const struct state *s, struct stat_entry *e, enum arm arm, enum fate fate) {
    if (e)
        stats_add(e, STAT_CLOSED + fate);
    else
        state_count(s, arm, counter_of_fate(fate));
}

unsigned stats_bucket(uint64_t ns) {
    uint64_t us = ns / 1000;
    unsigned i = us ? 64u - (unsigned)__builtin_clzll(us) : 0;
    return i < STAT_BUCKETS ? i : STAT_BUCKETS - 1;
}

/* What stands in no row is STAT_OTHER_ERROR. own: the errno's own counter, where the first one is of several. */
static const struct {
    int error;
    uint8_t counter, own;
} outcomes[] = {
    {0, STAT_IMMEDIATE, 0},
    {EINPROGRESS, STAT_IN_PROGRESS, 0},
    {EINTR, STAT_IN_PROGRESS, 0},
    {EALREADY, STAT_IN_PROGRESS, 0},
    {EADDRNOTAVAIL, STAT_FAILED, 0},
    {ECONNREFUSED, STAT_REFUSED, 0},
    {ETIMEDOUT, STAT_TIMED_OUT, 0},
    {ENETUNREACH, STAT_UNREACHABLE, STAT_ERRNO},
    {EHOSTUNREACH, STAT_UNREACHABLE, STAT_ERRNO + 1},
    {ENETDOWN, STAT_UNREACHABLE, STAT_ERRNO + 2},
    {EACCES, STAT_DENIED, STAT_ERRNO + 3},
    {EPERM, STAT_DENIED, STAT_ERRNO + 4},
    {ECONNRESET, STAT_OTHER_ERROR, STAT_ERRNO + 5},
    {EADDRINUSE, STAT_OTHER_ERROR, STAT_ERRNO + 6},
    {EINVAL, STAT_OTHER_ERROR, STAT_ERRNO + 7},
    {EAGAIN, STAT_OTHER_ERROR, STAT_ERRNO + 8},
    {ENOBUFS, STAT_OTHER_ERROR, STAT_ERRNO + 9},
};
enum { OUTCOMES_KNOWN = sizeof outcomes / sizeof outcomes[0] };
_Static_assert(STAT_ERRNO + 9 == STAT_COUNTERS - 1, "each of them has a row");

int stats_errno(unsigned counter) {
    bool first = counter == STAT_FAILED || counter == STAT_REFUSED || counter == STAT_TIMED_OUT;
    for (unsigned i = 0; i < OUTCOMES_KNOWN && (first || counter >= STAT_ERRNO); i++)
        if (counter == (first ? outcomes[i].counter : outcomes[i].own))
            return outcomes[i].error;
    return 0;
}

__attribute__((noinline)) void stats_outcome(struct stat_entry *e, int error) {
    unsigned i = 0;
    while (i < OUTCOMES_KNOWN && outcomes[i].error != error)
        i++;
    stats_add(e, i < OUTCOMES_KNOWN ? outcomes[i].counter : (unsigned)STAT_OTHER_ERROR);
    if (i < OUTCOMES_KNOWN && outcomes[i].own)
        stats_add(e, outcomes[i].own);
    if (error == ETIMEDOUT)
        stats_add(e, STAT_SYN_TIMEOUT);
}

void stats_connect(const struct state *s, struct stat_entry *e, enum arm arm, const struct stat_connect *c) {
    if (!e) {
        state_count(s, arm, COUNT_CONNECTS);
        if (c->spread)
            state_count(s, arm, COUNT_SPREAD);
        return;
    }
    stats_outcome(e, c->error);
    if (c->spread)
        stats_add(e, STAT_SPREAD);
    if (c->recovered)
        stats_add(e, STAT_RECOVERED);
    if (c->fallback)
        stats_add(e, STAT_FALLBACK);
    __atomic_fetch_add(&e->connect_ns, c->elapsed_ns, __ATOMIC_RELAXED);
    __atomic_fetch_add(&e->bucket[stats_bucket(c->elapsed_ns)], 1, __ATOMIC_RELAXED);
}
