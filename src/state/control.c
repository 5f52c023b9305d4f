#include "state/control.h"

#include <string.h>

#include "state/state.h"
#include "base/sys.h"
#include "state/folder.h"

enum { PLAN_TRIES = 8, CONTROL_MODE = 1 << 0, CONTROL_CANARY = 1 << 1 };

/* A title's number: the one it has, or a new one; 0 when the table is full. Writers hold the folder's lock. */
static uint16_t intern(struct state *s, const char *title) {
    uint64_t n = __atomic_load_n(&s->header->names, __ATOMIC_RELAXED);
    if (n >= NAMES)
        n = NAMES - 1;
    for (unsigned i = 1; i <= n; i++)
        if (strncmp(s->name[i], title, POLICY_TITLE) == 0)
            return (uint16_t)i;
    if (n + 1 >= NAMES)
        return 0;
    memcpy(s->name[n + 1], title, POLICY_TITLE);
    __atomic_store_n(&s->header->names, n + 1, __ATOMIC_RELEASE);
    return (uint16_t)(n + 1);
}

_Static_assert(sizeof(struct policy) % sizeof(policy_word) == 0, "copied by words");

/* By words: clients may be reading. That of settings is read without a second look (state_settings). */
static void fill_slot(struct policy *slot, const struct policy *p) {
    policy_word *to = (policy_word *)(void *)slot;
    const policy_word *from = (const policy_word *)(const void *)p;
    for (size_t i = 0; i < sizeof *p / sizeof *to; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

static void publish_locked(struct state *s, struct policy *p) {
    for (unsigned i = 0; i < p->n_rules && i < POLICY_RULES; i++)
        p->rule[i].title_id = intern(s, p->rule[i].title);
    for (unsigned i = 0; i < p->n_pools && i < POLICY_POOLS; i++)
        p->pool[i].title_id = intern(s, p->pool[i].title);
    uint64_t next = __atomic_load_n(&s->header->generation, __ATOMIC_RELAXED) + 1;
    /* The last bump must be seen before any of the stores below: a reader still in this slot then knows. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    fill_slot(&s->policy[next & 1], p);
    __atomic_store_n(&s->header->generation, next, __ATOMIC_RELEASE);
}

bool state_publish(struct state *s, struct policy *p, const char *dir_path) {
    int error, dir;
    if (!dir_path) {
        publish_locked(s, p);
        return true;
    }
    dir = folder_open(dir_path, false, &error);
    if (dir < 0)
        return false;
    int lock = folder_lock(dir);
    if (lock >= 0) {
        publish_locked(s, p);
        folder_unlock(lock);
    }
    (void)sys_call1(SYS_close, dir);
    return lock >= 0;
}

/* One reading of the generation under which a slot may be read: 0 when none is published. */
static uint64_t begin(const struct state *s) {
    return __atomic_load_n(&s->header->generation, __ATOMIC_ACQUIRE);
}

static bool unchanged(const struct state *s, uint64_t generation) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&s->header->generation, __ATOMIC_RELAXED) == generation;
}

bool state_policy(const struct state *s, struct policy *out) {
    for (int i = 0; i < PLAN_TRIES; i++) {
        uint64_t g = begin(s);
        if (g == 0)
            return false;
        memcpy(out, &s->policy[g & 1], sizeof *out);
        if (unchanged(s, g))
            return true;
    }
    return false;
}

bool state_policy_is(const struct state *s, const struct policy_origin *origin) {
    for (int i = 0; i < PLAN_TRIES; i++) {
        uint64_t g = begin(s);
        if (g == 0)
            return false;
        const struct policy_origin *live = &s->policy[g & 1].origin;
        bool same = __atomic_load_n(&live->device, __ATOMIC_RELAXED) == origin->device &&
                    __atomic_load_n(&live->inode, __ATOMIC_RELAXED) == origin->inode &&
                    __atomic_load_n(&live->size, __ATOMIC_RELAXED) == origin->size &&
                    __atomic_load_n(&live->mtime_ns, __ATOMIC_RELAXED) == origin->mtime_ns;
        if (unchanged(s, g))
            return same;
    }
    return false;
}

const struct policy_pool *state_pool(const struct state *s, unsigned index) {
    uint64_t g = __atomic_load_n(&s->header->generation, __ATOMIC_ACQUIRE);
    return &s->policy[g & 1].pool[index % POLICY_POOLS];
}

bool state_match(const struct state *s, const struct endpoint *destination, const char *program, struct match *out) {
    for (int i = 0; i < PLAN_TRIES; i++) {
        uint64_t g = begin(s);
        if (g == 0)
            return false;
        policy_match(&s->policy[g & 1], destination, program, out);
        if (unchanged(s, g))
            return true;
    }
    return false;
}

enum rule_client_bind state_client_bind(const struct state *s, const char *program) {
    for (int i = 0; i < PLAN_TRIES; i++) {
        uint64_t g = begin(s);
        if (g == 0)
            break;
        enum rule_client_bind found = policy_client_bind(&s->policy[g & 1], program);
        if (unchanged(s, g))
            return found;
    }
    return CLIENT_BIND_KEEP;
}

void state_title(const struct state *s, uint16_t id, char out[POLICY_TITLE]) {
    memset(out, 0, POLICY_TITLE);
    if (id == 0 || id >= NAMES)
        return;
    memcpy(out, s->name[id], POLICY_TITLE - 1);
    for (unsigned i = 0; i < POLICY_TITLE - 1 && out[i]; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
}

struct control control_unpack(uint64_t word) {
    struct control c = {
        .has_mode = word & CONTROL_MODE,
        .has_canary = word & CONTROL_CANARY,
        .mode = (uint8_t)(word >> 8),
        .canary = (uint8_t)(word >> 16),
    };
    if (c.mode >= MODE_COUNT)
        c.has_mode = false;
    if (c.canary > 100)
        c.has_canary = false;
    return c;
}

uint64_t control_pack(struct control c) {
    return (c.has_mode ? CONTROL_MODE | (uint64_t)c.mode << 8 : 0) |
           (c.has_canary ? CONTROL_CANARY | (uint64_t)c.canary << 16 : 0);
}

const char *const arm_word[ARMS] = {[ARM_ENFORCE] = "enforce", [ARM_OBSERVE] = "observe", [ARM_CONTROL] = "control"};

void state_count(const struct state *s, enum arm arm, enum counter c) {
    __atomic_fetch_add(&s->counter[arm][c], 1, __ATOMIC_RELAXED);
}

uint64_t state_counter(const struct state *s, enum counter c) {
    uint64_t sum = 0;
    for (int arm = 0; arm < ARMS; arm++)
        sum += __atomic_load_n(&s->counter[arm][c], __ATOMIC_RELAXED);
    return sum;
}
