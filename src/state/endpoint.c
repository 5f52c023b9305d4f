#include "state/endpoint.h"

#include "state/pair.h"
#include "state/pair_table.h"

#define MS 1000000u

/* No pair has a namespace's cookie upside down: cookies count up from 1. */
struct pair *endpoint_find(const struct state *s, uint64_t netns, const struct endpoint *endpoint, bool create,
                           uint64_t now) {
    return pair_find(s, pair_key(~netns, &endpoint->addr, endpoint), create, now);
}

/* Never without end, whatever the memory says. */
static uint64_t span(uint32_t hold_down_ms) {
    return (uint64_t)(hold_down_ms < DOWN_MAX_MS ? hold_down_ms : DOWN_MAX_MS) * MS;
}

bool endpoint_may_try(struct pair *p, uint64_t now, uint32_t hold_down_ms) {
    uint64_t until = p ? __atomic_load_n(&p->down_until, __ATOMIC_RELAXED) : 0;
    if (until == 0)
        return true;
    if (until > now && until - now <= (uint64_t)DOWN_MAX_MS * MS)
        return false;
    return __atomic_compare_exchange_n(&p->down_until, &until, now + span(hold_down_ms), false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

bool endpoint_failed(struct pair *p, const struct endpoint *endpoint, uint16_t rule_id, uint64_t now,
                     uint32_t hold_down_ms) {
    if (!p)
        return false;
    uint64_t before = __atomic_load_n(&p->down_until, __ATOMIC_RELAXED);
    __atomic_store_n(&p->counted_ns, now, __ATOMIC_RELAXED);
    if (before > now) /* the others that were under way; and the one whose turn it was */
        return false;
    const struct addr whichever = {{0}};
    pair_label(p, &(struct pair_flow){&whichever, endpoint, rule_id});
    __atomic_store_n(&p->unanswered, (uint16_t)UNANSWERED, __ATOMIC_RELAXED); /* so that pair_is_down says so */
    return __atomic_compare_exchange_n(&p->down_until, &before, now + span(hold_down_ms), false, __ATOMIC_RELEASE,
                                       __ATOMIC_RELAXED) &&
           before == 0;
}

void endpoint_answered(struct pair *p, uint64_t began) {
    if (!p || __atomic_load_n(&p->down_until, __ATOMIC_RELAXED) == 0 ||
        began <= __atomic_load_n(&p->counted_ns, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&p->unanswered, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&p->down_until, 0, __ATOMIC_RELAXED);
}

bool endpoint_is_out(const struct pair *p) {
    return p && pair_is_down(p);
}

uint32_t endpoint_turn(struct pair *p, uint32_t n) {
    return p && n ? __atomic_fetch_add(&p->port_cursor, 1, __ATOMIC_RELAXED) % n : 0;
}
