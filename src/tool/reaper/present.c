#include "tool/reaper/present.h"

#include <netinet/tcp.h>

#include "state/pair.h"
#include "tool/host/dump.h"

static uint64_t bit_of(const struct tuple *tuple) {
    uint64_t key = pair_key(0, &tuple->local.addr, &tuple->peer) + tuple->local.port;
    return key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - PRESENT_BITS);
}

static void add(const struct dump_socket *s, void *context) {
    struct present *p = context;
    struct tuple tuple = tuple_of(&s->local, s->local_port, &s->peer, s->peer_port);
    uint64_t bit = bit_of(&tuple);
    p->word[bit / 64] |= (uint64_t)1 << bit % 64;
}

bool present_dump(struct present *p) {
    return dump_sockets(0xfff & ~(1u << TCP_LISTEN), add, p) == 0;
}

bool present_has(const struct present *p, const struct tuple *tuple) {
    uint64_t bit = bit_of(tuple);
    return p->word[bit / 64] >> bit % 64 & 1;
}
