#include "policy/order.h"

/* splitmix64's finaliser: neighbouring turns give unrelated results. The client's rand() is the client's. */
uint64_t order_scatter(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint32_t order_first(enum pool_policy policy, uint32_t total, uint32_t turn, uint64_t seed, uint64_t hash) {
    if (total <= 1)
        return 0;
    switch (policy) {
    case POOL_RANDOM:
        return (uint32_t)(order_scatter(seed + turn * 0x9e3779b97f4a7c15u) % total);
    case POOL_HASH:
    case POOL_HASH_BY:
        return (uint32_t)(order_scatter(hash) % total);
    default:
        return turn % total;
    }
}
