#include "client/arm.h"

#include "client/process.h"
#include "base/sys.h"
#include "client/client.h"

enum { PLACE_UNKNOWN = 0, PLACE_PROBES = 64 };

static uint32_t own; /* place + 1, or PLACE_UNKNOWN */

unsigned arm_place(uint64_t n) {
    return (unsigned)(n % 100 * 61 % 100);
}

enum arm arm_of(enum policy_mode mode, unsigned canary, unsigned place) {
    if (mode == MODE_OFF || place >= canary)
        return ARM_CONTROL;
    return mode == MODE_OBSERVE ? ARM_OBSERVE : ARM_ENFORCE;
}

void arm_forget(void) {
    __atomic_store_n(&own, PLACE_UNKNOWN, __ATOMIC_RELAXED);
}

/* What an earlier image of this process drew, or a new number, written down for the next image. */
static uint64_t draw(struct client *client) {
    const struct state *s = &client->state;
    uint64_t pid = process_pid(), spare = 0;
    struct place *mine = NULL;
    for (unsigned i = 0; i < PLACE_PROBES; i++) {
        struct place *p = &s->place[(pid + i) % PLACES];
        uint64_t owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
        if (owner == pid) {
            if (process_born_ns() <= __atomic_load_n(&p->born_ns, __ATOMIC_RELAXED) + 20000000u)
                return __atomic_load_n(&p->number, __ATOMIC_RELAXED);
            mine = p; /* an earlier process of this pid */
            spare = owner;
            break;
        }
        if (owner == 0) {
            mine = p;
            break;
        }
        if (!mine && i == PLACE_PROBES - 1) {
            mine = &s->place[pid % PLACES]; /* full: the oldest claim to this slot goes */
            spare = __atomic_load_n(&mine->owner, __ATOMIC_RELAXED);
        }
    }
    uint64_t number = __atomic_fetch_add(&s->header->next_process, 1, __ATOMIC_RELAXED);
    if (mine && __atomic_compare_exchange_n(&mine->owner, &spare, pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        __atomic_store_n(&mine->number, number, __ATOMIC_RELAXED);
        __atomic_store_n(&mine->born_ns, clock_ns(CLOCK_BOOTTIME), __ATOMIC_RELEASE);
    }
    return number;
}

static unsigned own_place(struct client *client) {
    uint32_t place = __atomic_load_n(&own, __ATOMIC_ACQUIRE);
    if (place == PLACE_UNKNOWN) {
        uint32_t drawn = arm_place(draw(client)) + 1;
        if (__atomic_compare_exchange_n(&own, &place, drawn, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            place = drawn;
    }
    return place - 1;
}

/* No process draws while the override stands at one of its ends. */
static unsigned place_of(struct client *client, const struct settings *now) {
    if (now->canary == 0 || now->canary >= 100)
        return 0;
    if (now->canary_by == BY_CONNECTION)
        return arm_place(__atomic_fetch_add(&client->state.header->next_connection, 1, __ATOMIC_RELAXED));
    return own_place(client);
}

enum arm arm_now(struct client *client, const struct settings *now) {
    enum policy_mode mode = (enum policy_mode)now->mode;
    return arm_of(mode, now->canary, mode == MODE_OFF ? 0 : place_of(client, now));
}

bool arm_may_enforce(struct client *client, const struct settings *now) {
    if (now->mode != MODE_ENFORCE || now->canary == 0)
        return false;
    return now->canary >= 100 || now->canary_by == BY_CONNECTION || own_place(client) < now->canary;
}

enum arm arm_of_process(struct client *client) {
    struct settings now = client_settings(client);
    bool drawn = now.canary_by == BY_PROCESS && now.canary > 0 && now.canary < 100;
    return arm_of((enum policy_mode)now.mode, now.canary, drawn ? own_place(client) : 0);
}
