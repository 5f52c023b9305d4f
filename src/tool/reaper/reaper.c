#include "tool/reaper/reaper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "tool/reaper/round.h"
#include "tool/host/netns.h"
#include "tool/host/owner.h"
#include "tool/common/message.h"
#include "state/boot.h"
#include "state/open_chunk.h"
#include "base/sys.h"

static const uint64_t rest_ns = 2000000000;

void reaper_init(struct reaper *h, const char *path) {
    *h = (struct reaper){.netns = netns_cookie(), .pid_namespace = owner_namespace(), .boot = boot_number()};
    h->lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

void reaper_end(struct reaper *h) {
    if (h->lock >= 0)
        (void)close(h->lock);
    h->lock = -1;
    free(h->seen);
    h->seen = NULL;
    h->n_seen = 0;
}

static bool lock(const struct reaper *h, unsigned patience_ms) {
    while (h->lock >= 0 && flock(h->lock, LOCK_EX | LOCK_NB) != 0) {
        if (patience_ms == 0)
            return false;
        usleep(1000);
        patience_ms--;
    }
    return h->lock >= 0;
}

/* How full each block is, which its users count about: those that are killed in between, wrongly. */
static void correct_hints(const struct round *r) {
    unsigned n = 0;
    for (unsigned i = 0; i < r->chunks; i++) {
        n += round_owner(r, i) != 0;
        if (i % OPEN_BLOCK != OPEN_BLOCK - 1)
            continue;
        if (__atomic_load_n(&r->s->header->open_taken[i / OPEN_BLOCK], __ATOMIC_RELAXED) != n)
            __atomic_store_n(&r->s->header->open_taken[i / OPEN_BLOCK], (uint16_t)n, __ATOMIC_RELAXED);
        n = 0;
    }
}

static unsigned round_locked(struct reaper *h, const struct state *s) {
    struct round r = {.h = h, .s = s, .now_ns = clock_ns(CLOCK_REALTIME)};
    if (!round_begin(&r))
        return 0;
    round_visit(&r);
    round_settle(&r);
    round_give_back(&r);
    correct_hints(&r);
    /* What nothing can be said of yet is not worth reading the ring five times a second. */
    h->rest_until_ns = r.n > 0 && r.n_stays == r.n ? r.now_ns + rest_ns : 0;
    round_end(&r);
    return r.n;
}

/* So much that the next processes may find no room. */
static bool much_is_left(const struct state *s) {
    unsigned n = 0, end = open_chunks(s);
    for (unsigned i = 0; i < end; i++)
        n += __atomic_load_n(&s->open_table->owner[i], __ATOMIC_RELAXED) != 0;
    return n > end / 2;
}

unsigned reaper_round(struct reaper *h, const struct state *s, unsigned patience_ms) {
    uint64_t now = clock_ns(CLOCK_REALTIME);
    if (h->rest_until_ns > now && h->rest_until_ns - now <= rest_ns && !much_is_left(s))
        return 0;
    if (!s->writable || h->pid_namespace == 0 || !boot_made(s->header, h->boot) || !lock(h, patience_ms))
        return 0;
    unsigned n = round_locked(h, s);
    (void)flock(h->lock, LOCK_UN);
    return n;
}

/* A chunk's owner in another pid namespace can only be judged by the clock: what it wrote before this boot. */
static bool of_another_boot(struct round *r, unsigned chunk) {
    const struct open_chunk *c = r->chunk[chunk];
    uint64_t up_ns = clock_ns(CLOCK_BOOTTIME), pid = round_owner(r, chunk);
    if (pid == 0)
        return false;
    if (c->pid_namespace == r->h->pid_namespace)
        return pid >> 32 != 0 || !round_lives(r, (uint32_t)pid, c);
    return c->seen_ns < r->now_ns - (up_ns < r->now_ns ? up_ns : r->now_ns);
}

void reaper_take_over(struct reaper *h, const struct state *s, const char *path) {
    struct round r = {.h = h, .s = s, .now_ns = clock_ns(CLOCK_REALTIME)};
    unsigned n = 0;
    if (!s->writable || h->pid_namespace == 0 || boot_made(s->header, h->boot) || !round_begin(&r) || !lock(h, 5000)) {
        round_end(&r);
        return;
    }
    for (unsigned i = 0; i < r.chunks; i++) {
        uint64_t word = round_owner(&r, i);
        struct open_chunk *c = r.chunk[i];
        if (!c || !of_another_boot(&r, i) ||
            !__atomic_compare_exchange_n(&s->open_table->owner[i], &word, round_mark((uint32_t)word), false,
                                         __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        r.taken[i] = true;
        for (unsigned slot = 0; slot < OPEN_PER_CHUNK; slot++)
            n += __atomic_exchange_n(&c->entry[slot].word, OPEN_FREE, __ATOMIC_ACQ_REL) != OPEN_FREE;
    }
    round_give_back(&r);
    round_end(&r);
    __atomic_store_n(&s->header->boot, h->boot, __ATOMIC_RELEASE);
    (void)flock(h->lock, LOCK_UN);
    if (n)
        warn("%s is of another boot, or of another host: what became of %u connection%s that were open then cannot "
             "be known",
             path, n, n == 1 ? "" : "s");
}

bool reaper_sees_life(const struct reaper *h) {
    uint64_t now = clock_ns(CLOCK_REALTIME);
    for (unsigned i = 0; i < h->n_seen; i++)
        if (h->seen[i].owner != 0 && now - h->seen[i].alive_ns < 1000000000)
            return true;
    return false;
}
