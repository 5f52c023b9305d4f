#include "tool/reaper/round.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/control.h"
#include "state/copy.h"
#include "state/left.h"
#include "state/open_chunk.h"
#include "state/ring.h"
#include "tool/host/owner.h"

/* The next image of a process has settled its own entries by then, if it is preloaded. */
static const uint64_t exec_patience_ns = 1000000000;

/* In another network namespace nothing can be asked; a tool in there has this long. */
static const uint64_t foreign_patience_ns = 600 * (uint64_t)1000000000;

/* A file may claim that thousands of processes have just taken a chunk: so many are waited for in a round. */
enum { WAITS = 50 };

uint64_t round_owner(const struct round *r, unsigned chunk) {
    return __atomic_load_n(&r->s->open_table->owner[chunk], __ATOMIC_ACQUIRE);
}

bool round_begin(struct round *r) {
    unsigned n = open_chunks(r->s);
    struct seen *seen = n > r->h->n_seen ? realloc(r->h->seen, n * sizeof *seen) : r->h->seen;
    if (!seen)
        return false;
    if (n > r->h->n_seen) {
        memset(seen + r->h->n_seen, 0, (n - r->h->n_seen) * sizeof *seen);
        r->h->n_seen = n;
    }
    r->h->seen = seen;
    r->label = calloc(n, sizeof *r->label + sizeof(struct open_chunk *) + 2 * sizeof *r->taken);
    if (!r->label)
        return false;
    r->chunk = (struct open_chunk **)(r->label + n);
    r->taken = (bool *)(r->chunk + n);
    r->stays = r->taken + n;
    r->chunks = n;
    for (unsigned i = 0; i < n && !r->preview; i++)
        r->chunk[i] = round_owner(r, i) != 0 ? open_chunk_of(r->s, i) : NULL;
    return true;
}

void round_end(struct round *r) {
    free(r->left);
    free(r->label);
}

uint64_t round_mark(uint32_t pid) {
    return (uint64_t)(uint32_t)getpid() << 32 | pid;
}

bool round_lives(struct round *r, uint32_t pid, const struct open_chunk *chunk) {
    uint64_t noted = chunk->born_ns;
    if (r->last_pid == pid && r->last_noted == noted)
        return r->last_lives;
    bool alive = owner_lives(pid, noted);
    if (!alive && r->waits < WAITS && owner_lives(pid, 0)) {
        /* Another process of that number; or this one, which has taken the chunk and not yet written when it was born.
         */
        r->waits++;
        usleep(20000);
        noted = chunk->born_ns;
        alive = owner_lives(pid, noted);
    }
    r->last_pid = pid;
    r->last_noted = noted;
    r->last_lives = alive;
    return alive;
}

static bool add(struct round *r, const struct reaped *l) {
    if (r->n == r->room) {
        unsigned more = r->room ? r->room * 2 : 64;
        struct reaped *grown = realloc(r->left, more * sizeof *grown);
        if (!grown)
            return false;
        r->left = grown;
        r->room = more;
    }
    r->left[r->n++] = *l;
    return true;
}

/* A chunk that is visited, and its number. Of a preview it is there for that long only. */
struct visited {
    unsigned number;
    const struct open_chunk *chunk;
};

static uint64_t last_sign_of_life(const struct round *r, const struct visited *v, uint32_t pid) {
    const struct seen *met = &r->h->seen[v->number];
    uint64_t seen = v->chunk->seen_ns;
    if (met->owner == pid && met->alive_ns > seen)
        seen = met->alive_ns;
    return seen < r->now_ns ? seen : r->now_ns;
}

/* Copies of the chunk's entries that an exec was to close; all: of all entries. False: no memory. */
static bool gather(struct round *r, const struct visited *v, const struct reaped *common, bool all,
                   uint64_t marked_before) {
    const struct open_chunk *c = v->chunk;
    struct label *label = &r->label[v->number];
    *label = (struct label){.netns = c->netns, .arm = c->arm};
    memcpy(label->program, c->program, sizeof label->program);
    for (unsigned slot = 0; slot < OPEN_PER_CHUNK; slot++) {
        struct reaped l = *common;
        uint8_t word = __atomic_load_n(&c->entry[slot].word, __ATOMIC_ACQUIRE);
        if (word != OPEN_TO_EXEC && (!all || (word != OPEN_NOW && word != OPEN_TO_EXIT)))
            continue;
        l.entry = c->entry[slot];
        l.entry.word = word;
        l.entry.direction = l.entry.direction < DIRECTIONS ? l.entry.direction : OUTBOUND;
        l.chunk = v->number;
        l.slot = (uint8_t)slot;
        if (word == OPEN_TO_EXEC && l.entry.marked_ns > marked_before)
            continue;
        if (!add(r, &l))
            return false;
    }
    return true;
}

static void visit_living(struct round *r, const struct visited *v, uint32_t pid) {
    const struct reaped common = {
        .pid = pid, .alive = true, .alive_us = r->now_ns / 1000, .ask = true, .second_hand = r->preview != NULL};
    r->h->seen[v->number] = (struct seen){.owner = pid, .alive_ns = r->now_ns};
    if (v->chunk->netns == r->h->netns)
        (void)gather(r, v, &common, false, r->now_ns - exec_patience_ns);
}

static void visit_dead(struct round *r, const struct visited *v, uint64_t word, uint32_t pid) {
    uint64_t seen = last_sign_of_life(r, v, pid);
    uint64_t netns = v->chunk->netns;
    bool patient = seen + foreign_patience_ns > r->now_ns;
    const struct reaped common = {.pid = pid,
                                  .alive_us = seen / 1000,
                                  .ask = netns == r->h->netns || netns == 0,
                                  .perhaps_elsewhere = netns == 0 && r->h->netns != 0 && patient,
                                  .second_hand = word >> 32 != 0 || r->preview};
    if (!common.ask && (patient || r->preview))
        return;
    if (!__atomic_compare_exchange_n(&r->s->open_table->owner[v->number], &word, round_mark(pid), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    /* Without memory the chunk stays ours, and falls to the next reaper. */
    r->taken[v->number] = gather(r, v, &common, true, UINT64_MAX);
}

static void visit(struct round *r, const struct visited *v) {
    uint64_t word = round_owner(r, v->number);
    uint32_t pid = (uint32_t)word, reaper = (uint32_t)(word >> 32);
    if (word == 0 || v->chunk->pid_namespace != r->h->pid_namespace)
        return;
    if (reaper == 0 && round_lives(r, pid, v->chunk))
        visit_living(r, v, pid);
    else
        visit_dead(r, v, word, pid); /* we hold the lock: a reaper that stands there is gone, or s is a copy */
}

/* Of a living process: it may settle the entry itself at any moment. False: it, or another tool, has. */
static bool claim(const struct round *r, const struct reaped *l) {
    /* Nothing is claimed of a copy. Whose event the ring has by now is known; and the owner words are younger than the
     * entries: what was read of a chunk that has changed hands since has its event in the ring, too. */
    if (r->preview)
        return (uint32_t)round_owner(r, l->chunk) == l->pid;
    struct open_entry *h = &r->chunk[l->chunk]->entry[l->slot];
    uint8_t word = OPEN_TO_EXEC;
    if (!__atomic_compare_exchange_n(&h->word, &word, OPEN_FREE, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    if (round_owner(r, l->chunk) == l->pid && h->marked_ns == l->entry.marked_ns)
        return true;
    /* The chunk has changed hands since the copy was made, and what we took is another process's. */
    word = OPEN_FREE;
    (void)__atomic_compare_exchange_n(&h->word, &word, OPEN_TO_EXEC, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    return false;
}

/* The same entry gets the same number from every reader, and none that a writer will draw. */
static void keep(const struct round *r, const struct reaped *l, struct event_record *event) {
    _Static_assert(sizeof event->e <= sizeof *l, "an event lies within what has been settled");
    struct preview *out = r->preview;
    uint64_t hash = (((uint64_t)l->chunk * OPEN_PER_CHUNK + l->slot) << 32 | l->pid) ^ l->entry.connected_ns;
    hash = (hash ^ hash >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    event->e.seq = PREVIEW_SEQ | (hash >> 12 & (PREVIEW_SEQ - 1));
    out->event[out->n++] = event->e;
}

static void record_event(const struct round *r, const struct reaped *l, const struct left *left,
                         const struct settings *settings) {
    struct event_record event;
    if (!r->preview)
        left_count(r->s, left);
    if (!left_event(&event, left, settings))
        return;
    if (r->preview)
        keep(r, l, &event);
    else
        r->h->recorded += ring_write(r->s, &event);
}

static const struct open_chunk *head_of(struct round *r, unsigned chunk) {
    const struct label *label = &r->label[chunk];
    r->head.netns = label->netns;
    r->head.arm = label->arm;
    memcpy(r->head.program, label->program, sizeof label->program);
    return &r->head;
}

static void settle(struct round *r, const struct reaped *l, const struct settings *settings) {
    bool stays = l->stays && !l->recorded;
    r->stays[l->chunk] |= stays;
    r->n_stays += stays;
    if (stays || ((l->alive || r->preview) && !claim(r, l)))
        return;
    struct left left = {
        .chunk = head_of(r, l->chunk),
        .entry = &l->entry,
        .local = l->local,
        .local_port = l->local_port,
        .via = l->via,
        .fate = l->fate,
        .verified = l->verified,
        .pid = l->pid,
        .netns = r->h->netns,
        .time_us = l->time_us,
        .asked = l->ask,
    };
    bool recorded = !l->recorded && left_is_recorded(&left, settings);
    if (recorded && l->fate == FATE_TIME_WAIT && left_recorded_before(r->s, &left, l->alive_us * 1000))
        left.fate = FATE_SHARED;
    /* The pair's connection is closed, whether that is recorded or not. */
    if (!r->preview)
        left_closed(r->s, &left);
    if (recorded)
        record_event(r, l, &left, settings);
    if (!l->alive && !r->preview)
        __atomic_store_n(&r->chunk[l->chunk]->entry[l->slot].word, OPEN_FREE, __ATOMIC_RELEASE);
}

/* A chunk whose birth is 0 is one that its next owner has not labelled yet. */
void round_give_back(const struct round *r) {
    for (unsigned i = 0; i < r->chunks; i++) {
        if (!r->taken[i])
            continue;
        uint32_t pid = (uint32_t)round_owner(r, i);
        uint64_t word = round_mark(pid), next = r->stays[i] ? pid : 0;
        if (next == 0)
            __atomic_store_n(&r->chunk[i]->born_ns, 0, __ATOMIC_RELAXED);
        (void)__atomic_compare_exchange_n(&r->s->open_table->owner[i], &word, next, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED);
    }
}

void round_visit(struct round *r) {
    struct open_chunk copied;
    for (unsigned i = 0; i < r->chunks; i++) {
        struct visited v = {i, r->chunk[i]};
        if (r->preview && round_owner(r, i) != 0)
            v.chunk = state_chunk(r->s, i, &copied);
        if (v.chunk)
            visit(r, &v);
    }
}

void round_settle(struct round *r) {
    struct settings settings = {.log_inbound = 1};
    if (r->n == 0)
        return;
    struct control control = control_unpack(__atomic_load_n(&r->s->header->control, __ATOMIC_RELAXED));
    (void)state_settings(r->s, &settings);
    if (control.has_mode)
        settings.mode = control.mode;
    reaped_judge(r->left, r->n, r->s);
    if (r->preview)
        r->preview->event = (struct event *)(void *)r->left;
    for (unsigned i = 0; i < r->n; i++) {
        const struct reaped l = r->left[i]; /* of a preview the events so far lie where it was, or before */
        settle(r, &l, &settings);
    }
    if (r->preview)
        r->left = NULL;
}
