#include "client/asked.h"

#include <string.h>

#include "policy/order.h"

enum { DESTINATIONS = 1024, LOOKED_AT = 64, NUMBER = 0xffff, SHOWN = 1 << 16 };

/* FREE, WRITING, KNOWN: an entry is written once, by the thread that made it WRITING. Others pass it by meanwhile, also
 * a signal handler of that very thread: at worst a destination has two numbers. */
enum word { FREE, WRITING, KNOWN };

static struct {
    uint32_t word;
    struct endpoint destination;
} known[DESTINATIONS];

static uint32_t any_shown;

static bool is_same(const struct endpoint *a, const struct endpoint *b) {
    return a->port == b->port && a->scope == b->scope && addr_compare(&a->addr, &b->addr) == 0;
}

static uint32_t place_of(const struct endpoint *destination) {
    uint64_t word[2];
    memcpy(word, destination->addr.b, sizeof word);
    return (uint32_t)order_scatter(word[0] ^ word[1] ^ destination->port);
}

uint32_t asked_number(const struct endpoint *destination) {
    uint32_t first = place_of(destination);
    for (uint32_t i = 0; i < LOOKED_AT; i++) {
        uint32_t at = (first + i) % DESTINATIONS, word = __atomic_load_n(&known[at].word, __ATOMIC_ACQUIRE);
        if (word == KNOWN && is_same(&known[at].destination, destination))
            return at + 1;
        if (word != FREE ||
            !__atomic_compare_exchange_n(&known[at].word, &word, WRITING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        known[at].destination = *destination;
        __atomic_store_n(&known[at].word, KNOWN, __ATOMIC_RELEASE);
        return at + 1;
    }
    return 0;
}

void asked_set(struct conn *c, uint32_t number, bool shown) {
    /* Release: a thread that finds the number through a descriptor finds the destination behind it, too. */
    __atomic_store_n(&c->asked, number | (shown ? SHOWN : 0), __ATOMIC_RELEASE);
    if (shown && !__atomic_load_n(&any_shown, __ATOMIC_RELAXED))
        __atomic_store_n(&any_shown, 1, __ATOMIC_RELAXED);
    conn_set_flags(c, CONN_ASKED);
}

void asked_clear(struct conn *c) {
    conn_clear_flags(c, CONN_ASKED);
}

const struct endpoint *asked_of(const struct conn *c) {
    uint32_t number = __atomic_load_n(&c->asked, __ATOMIC_ACQUIRE) & NUMBER;
    if (!(conn_flags(c) & CONN_ASKED) || number == 0 || number > DESTINATIONS)
        return NULL;
    return &known[number - 1].destination;
}

const struct endpoint *asked_shown(int fd) {
    struct conn *c;
    if (!__atomic_load_n(&any_shown, __ATOMIC_RELAXED) || fd_look(fd, &c) != FD_TCP ||
        !(__atomic_load_n(&c->asked, __ATOMIC_RELAXED) & SHOWN))
        return NULL;
    return asked_of(c);
}
