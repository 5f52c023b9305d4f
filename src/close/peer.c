#include "close/peer.h"

#include <string.h>

#include "client/sockinfo.h"

enum { DESTINATIONS = 256, TRANSLATED = 1 };

/* What is known of a destination: bits of its hash, when that was learned, and TRANSLATED. One word, so
 * it is always whole; another destination's only costs one more question. */
static uint32_t known[DESTINATIONS];

static uint32_t hash_of(const struct endpoint *e) {
    uint64_t word[2], h;
    memcpy(word, e->addr.b, sizeof word);
    h = (word[0] ^ (uint64_t)e->port << 48) * UINT64_C(0x9e3779b97f4a7c15) ^ word[1];
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h >> 32);
}

static uint32_t word_of(uint32_t hash, uint64_t now_ns) {
    uint32_t period = (uint32_t)(now_ns >> 38) + 1; /* of 4.6 minutes */
    return (hash & 0xffff0000) | (period & 0x7fff) << 1;
}

/* Apart: a process has few destinations, and each is asked about once in a period. */
__attribute__((noinline)) static void ask_peer(struct closing *c, uint32_t fresh, uint32_t *place) {
    const struct conn *conn = c->conn;
    struct endpoint real;
    if (!sockinfo_peer(c->fd, &real) && !sockinfo_late_peer(c->fd, conn->family, &real))
        return;
    bool translated = real.port != conn->peer.port || addr_compare(&real.addr, &conn->peer.addr) != 0;
    __atomic_store_n(place, translated ? fresh | TRANSLATED : fresh, __ATOMIC_RELAXED);
    if (translated)
        c->peer = real;
}

void peer_look(struct closing *c) {
    const struct conn *conn = c->conn;
    uint32_t flags = conn_flags(conn);
    if (flags & (CONN_INBOUND | CONN_ADOPTED | CONN_PEER_ASK | CONN_ASKED)) {
        if (flags & CONN_ASKED)
            c->peer = conn->peer; /* the record knows it, and asked.h what the client asked for */
        return;
    }
    uint64_t connected_ns = __atomic_load_n(&conn->connected_ns, __ATOMIC_RELAXED);
    uint32_t hash = hash_of(&conn->peer), fresh = word_of(hash, connected_ns), *place = &known[hash % DESTINATIONS];
    if (__atomic_load_n(place, __ATOMIC_RELAXED) != fresh)
        ask_peer(c, fresh, place);
}

const struct endpoint *peer_of(const struct closing *c) {
    return c->peer.port ? &c->peer : &c->conn->peer;
}
