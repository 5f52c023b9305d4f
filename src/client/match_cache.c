#include "client/match_cache.h"
#include "client/client.h"
#include "state/control.h"
#include "policy/order.h"

#include <stddef.h>
#include <string.h>

#ifndef MATCH_CACHE_STEP
/* Between any two steps of a thread that keeps a match or recalls one; a test lets others go first here. */
#define MATCH_CACHE_STEP() ((void)0)
#endif

typedef uint64_t __attribute__((may_alias)) word;

enum {
    SETS = 32,
    WAYS = 2,
    SOURCES = 8, /* matches with more of them, or more ports, or with other endpoints are asked for anew each time */
    PORTS = 8,
    HEAD_WORDS = offsetof(struct match, source) / sizeof(word),
    SOURCE_WORDS = sizeof(struct policy_source) / sizeof(word),
    PORTS_IN_WORD = sizeof(word) / sizeof(struct port_range)
};

/* version: odd while it is written; the thread that makes it odd has the rest to itself. */
struct kept {
    uint64_t version, generation, destination[3];
    uint64_t head[HEAD_WORDS], ports[PORTS / PORTS_IN_WORD], source[SOURCES][SOURCE_WORDS];
};

static struct kept kept[SETS][WAYS];

_Static_assert(sizeof(struct endpoint) == sizeof kept[0][0].destination, "an endpoint is three words");
_Static_assert(offsetof(struct match, source) % sizeof(word) == 0 && sizeof(struct policy_source) % sizeof(word) == 0 &&
                   offsetof(struct match, ports) % sizeof(word) == 0,
               "copied by words");

static uint64_t load(const uint64_t *from) {
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

/* The kept side word by word, relaxed: it may be written at this moment, and is then not believed. */
static void load_words(void *to, const uint64_t *from, unsigned n) {
    word *out = to;
#pragma GCC unroll 3
    for (unsigned i = 0; i < n; i++) {
        out[i] = load(&from[i]);
        MATCH_CACHE_STEP();
    }
}

static void store_words(uint64_t *to, const void *from, unsigned n) {
    const word *in = from;
    for (unsigned i = 0; i < n; i++) {
        MATCH_CACHE_STEP();
        __atomic_store_n(&to[i], in[i], __ATOMIC_RELAXED);
    }
}

static unsigned port_words(const struct match *match) {
    unsigned n = match->n_ports < PORTS ? match->n_ports : PORTS;
    return (n + PORTS_IN_WORD - 1) / PORTS_IN_WORD;
}

/* Where it may be kept: in any of WAYS places. Scattered: what differs between the servers of a network lies in the
 * uppermost bits. */
static struct kept *set_of(const uint64_t destination[3]) {
    return kept[order_scatter(destination[1] ^ destination[0] * 3 ^ destination[2] * 5) % SETS];
}

/* The one that was written least often, so they take turns; not one whose writer is at it, or never came back: a
 * thread that was cancelled, or one that the parent had when it forked. NULL: none. */
static struct kept *least_written(struct kept *set) {
    struct kept *least = NULL;
    for (struct kept *k = set; k < set + WAYS; k++)
        if (!(load(&k->version) & 1) && (!least || load(&k->version) < load(&least->version)))
            least = k;
    return least;
}

static bool is_about(const struct kept *k, uint64_t generation, const uint64_t destination[3]) {
    return load(&k->generation) == generation && load(&k->destination[0]) == destination[0] &&
           load(&k->destination[1]) == destination[1] && load(&k->destination[2]) == destination[2];
}

static bool recall(const struct kept *k, uint64_t generation, const uint64_t destination[3], struct match *out) {
    uint64_t version = __atomic_load_n(&k->version, __ATOMIC_ACQUIRE);
    if (version & 1 || !is_about(k, generation, destination))
        return false;
    load_words(out, k->head, HEAD_WORDS);
    unsigned sources = out->n_sources < SOURCES ? out->n_sources : SOURCES;
    for (unsigned i = 0; i < sources; i++)
        load_words(&out->source[i], k->source[i], SOURCE_WORDS);
    load_words(out->ports, k->ports, port_words(out));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load(&k->version) == version;
}

static void keep(struct kept *k, uint64_t generation, const uint64_t destination[3], const struct match *match) {
    uint64_t version = load(&k->version);
    if (version & 1 || match->n_sources > SOURCES || match->n_ports > PORTS || match->n_also ||
        !__atomic_compare_exchange_n(&k->version, &version, version + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return; /* acquire: after all that the last writer wrote */
    /* Odd before any of what follows is seen. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    store_words(&k->generation, &generation, 1);
    store_words(k->destination, destination, 3);
    store_words(k->head, match, HEAD_WORDS);
    store_words(k->ports, match->ports, port_words(match));
    for (unsigned i = 0; i < match->n_sources; i++)
        store_words(k->source[i], &match->source[i], SOURCE_WORDS);
    __atomic_store_n(&k->version, version + 2, __ATOMIC_RELEASE);
}

/* Whose answers they are, too: a supervisor asks for several programs. */
static uint64_t generation_for(const struct client *client, uint64_t generation) {
    return generation ? (generation * 0x9e3779b97f4a7c15u ^ client->names_key) | 1 : 0;
}

/* Under the generation that was read first. If the policy has changed meanwhile, no thread will ask for that one. */
__attribute__((noinline)) static bool ask_policy(const struct client *client, const struct endpoint *destination,
                                                 uint64_t generation, struct match *out) {
    uint64_t key[3];
    memcpy(key, destination, sizeof key);
    struct kept *k = least_written(set_of(key));
    if (!state_match(&client->state, destination, client->names, out))
        return false;
    if (k)
        keep(k, generation, key, out);
    return true;
}

bool match_cache_find(const struct client *client, const struct endpoint *destination, struct match *out) {
    uint64_t live = __atomic_load_n(&client->state.header->generation, __ATOMIC_ACQUIRE);
    uint64_t generation = generation_for(client, live);
    uint64_t key[3];
    memcpy(key, destination, sizeof key);
    struct kept *set = set_of(key);
    for (struct kept *k = set; generation != 0 && k < set + WAYS; k++)
        if (recall(k, generation, key, out))
            return true;
    return ask_policy(client, destination, generation, out);
}
