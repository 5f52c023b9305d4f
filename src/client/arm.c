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

/* Where a process's number is written down for its next image, and which owner that place is taken from. */
struct slot {
    struct place *place;
    uint64_t spare;
};

/* True, and *number: an earlier image of this process, or another thread, has drawn it. */
static bool is_drawn(const struct state *s, uint64_t pid, struct slot *mine, uint64_t *number) {
    for (unsigned i = 0; i < PLACE_PROBES; i++) {
        struct place *p = &s->place[(pid + i) % PLACES];
        uint64_t owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
        if (owner == pid && process_born_ns() <= __atomic_load_n(&p->born_ns, __ATOMIC_ACQUIRE) + 20000000u) {
            *number = __atomic_load_n(&p->number, __ATOMIC_RELAXED);
            return true;
        }
        if (owner == pid || owner == 0) { /* an earlier process of this pid; or none */
            *mine = (struct slot){p, owner};
            return false;
        }
    }
    /* Full: the oldest claim to this slot goes. */
    struct place *p = &s->place[pid % PLACES];
    *mine = (struct slot){p, __atomic_load_n(&p->owner, __ATOMIC_RELAXED)};
    return false;
}

/* The birth last: before it, what stands here is not believed. */
static void write_down(struct slot mine, uint64_t pid, uint64_t number) {
    if (!__atomic_compare_exchange_n(&mine.place->owner, &mine.spare, pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&mine.place->number, number, __ATOMIC_RELAXED);
    __atomic_store_n(&mine.place->born_ns, clock_ns(CLOCK_BOOTTIME), __ATOMIC_RELEASE);
}

/* Of threads that draw at once one's number is the process's, and that one alone writes it down: or the next image
 * would go on with another's. */
__attribute__((noinline)) static uint32_t draw(struct client *client) {
    uint32_t place = PLACE_UNKNOWN;
    struct slot mine;
    uint64_t pid = process_pid(), number;
    bool drawn = is_drawn(&client->state, pid, &mine, &number);
    if (!drawn)
        number = __atomic_fetch_add(&client->state.header->next_process, 1, __ATOMIC_RELAXED);
    uint32_t fresh = arm_place(number) + 1;
    if (!__atomic_compare_exchange_n(&own, &place, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return place;
    if (!drawn)
        write_down(mine, pid, number);
    return fresh;
}

static unsigned own_place(struct client *client) {
    uint32_t place = __atomic_load_n(&own, __ATOMIC_ACQUIRE);
    return (place == PLACE_UNKNOWN ? draw(client) : place) - 1;
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
