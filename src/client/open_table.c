#include "client/open_table.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "client/client.h"
#include "client/process.h"
#include "client/events.h"
#include "state/pair.h"
#include "state/open_chunk.h"
#include "state/segment.h"
#include "base/sys.h"
#include "state/control.h"

/* Number of this process's n-th chunk, plus 1; 0: not taken yet; NONE: there was no room. Private. */
enum { NONE = 0xffff, OWN = CONN_MAX / OPEN_PER_CHUNK + 1 };
_Static_assert((int)OPEN_CHUNKS < (int)NONE, "a chunk's number fits");

/* A child of a server with thousands of connections shall not write them all down before it execs a helper. */
enum { INHERITED_MAX = 64 };

static uint16_t own[OWN];
static struct open_chunk *own_chunk[OWN]; /* where it lies; NULL: to be looked up */
static unsigned own_end;                  /* those from here on were never taken */
static uint64_t pid_namespace;
static bool left_pending; /* something is left for the tool to record: the chunks stay */

/* The inode of this process's pid namespace; 0: it cannot be asked. Threads that ask at once store the same. */
static uint64_t own_namespace(void) {
    uint64_t known = __atomic_load_n(&pid_namespace, __ATOMIC_RELAXED);
    if (known == 0) {
        sys_stat st = {0};
        (void)sys_stat_of("/proc/self/ns/pid", &st);
        known = (uint64_t)st.st_ino;
        __atomic_store_n(&pid_namespace, known, __ATOMIC_RELAXED);
    }
    return known;
}

static void label(struct client *client, struct open_chunk *chunk, const struct conn *c) {
    memset(chunk->entry, 0, sizeof chunk->entry);
    chunk->born_ns = clock_ns(CLOCK_BOOTTIME);
    chunk->seen_ns = clock_ns(CLOCK_REALTIME);
    chunk->pid_namespace = own_namespace();
    chunk->netns = __atomic_load_n(&client->netns, __ATOMIC_RELAXED);
    memcpy(chunk->program, client->program, sizeof chunk->program);
    chunk->arm = c->arm;
}

/* A hint, and so unchecked: which block has room. */
static void note_taken(const struct state *s, unsigned at, int more) {
    (void)__atomic_fetch_add(&s->header->open_taken[at / OPEN_BLOCK], (uint16_t)more, __ATOMIC_RELAXED);
}

static bool looks_full(const struct state *s, unsigned block) {
    return __atomic_load_n(&s->header->open_taken[block], __ATOMIC_RELAXED) >= OPEN_BLOCK;
}

/* The birth goes first: with the old one, the next owner would look like a process that took over a pid. */
static void give_back(struct client *client, unsigned at) {
    struct open_chunk *chunk = open_chunk_of(&client->state, at);
    if (chunk)
        __atomic_store_n(&chunk->born_ns, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&client->state.open_table->owner[at], 0, __ATOMIC_RELEASE);
    note_taken(&client->state, at, -1);
}

/* Takes a free chunk of one block. The number of it plus 1; 0: there is none, or no such block. One beside the other
 * from its beginning on, so that the file has no more of them than are needed; but processes that come at once do not
 * all begin with the same. */
static unsigned take_in(const struct state *s, unsigned block, uint64_t pid) {
    enum { SPREAD = BLOCK_BYTES / sizeof(struct open_chunk) };
    for (unsigned i = 0; i < OPEN_BLOCK; i++) {
        unsigned at = block * OPEN_BLOCK + i - i % SPREAD + (unsigned)(pid * 7 + i) % SPREAD;
        uint64_t *owner = &s->open_table->owner[at], free = 0;
        /* Not before one is free: a segment that has none need not be in this process. */
        if (__atomic_load_n(owner, __ATOMIC_RELAXED) != 0)
            continue;
        if (!open_chunk_make(s, at)) {
            if (at >= OPEN_FIRST)
                return 0; /* a segment is there as a whole, or not at all */
            continue;
        }
        if (__atomic_compare_exchange_n(owner, &free, pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            note_taken(s, at, 1);
            return at + 1;
        }
    }
    return 0;
}

/* Where there seems to be room. */
static unsigned take_by_hint(const struct state *s, unsigned blocks, uint64_t pid) {
    unsigned at = 0;
    for (unsigned i = 0; i < blocks && at == 0; i++)
        if (!looks_full(s, i))
            at = take_in(s, i, pid);
    return at;
}

/* A new segment may be full by the time that we come to it, where thousands of processes connect for the first time at
 * once: then in the next. At last anywhere: the hints may be wrong. */
static unsigned take_anywhere(struct client *client, const struct conn *c) {
    enum { TRIES = 16 };
    const struct state *s = &client->state;
    uint64_t pid = process_pid();
    unsigned blocks = open_chunks(s) / OPEN_BLOCK, at = take_by_hint(s, blocks, pid);
    for (unsigned tries = 0, known = blocks; tries < TRIES && at == 0; tries++) {
        int grown = segment_grow(s->segments, SEGMENT_OPEN, known - OPEN_FIRST / OPEN_BLOCK);
        if (grown < 0)
            break;
        known = OPEN_FIRST / OPEN_BLOCK + (unsigned)grown + 1;
        at = take_in(s, known - 1, pid);
    }
    for (unsigned i = 0; i < blocks && at == 0; i++)
        at = take_in(s, i, pid);
    if (at == 0)
        event_no_room(client, (enum arm)c->arm);
    return at;
}

/* Before own[] names the chunk, and it never falls: or a fork child would write on into a chunk of its parent's. */
static void note_end(unsigned end) {
    unsigned was = __atomic_load_n(&own_end, __ATOMIC_RELAXED);
    while (was < end && !__atomic_compare_exchange_n(&own_end, &was, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

/* Takes a free chunk for the process's n-th. A second thread that comes at the same time may take another one; the
 * loser gives its own back, and must see all that the winner wrote into its own before it writes there. */
__attribute__((noinline)) static struct open_chunk *take_chunk(struct client *client, unsigned n,
                                                               const struct conn *c) {
    unsigned at = take_anywhere(client, c);
    struct open_chunk *chunk = at ? open_chunk_of(&client->state, at - 1) : NULL;
    uint16_t none = 0, taken = chunk ? (uint16_t)at : NONE;
    if (chunk)
        label(client, chunk, c);
    note_end(n + 1);
    if (__atomic_compare_exchange_n(&own[n], &none, taken, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&own_chunk[n], chunk, __ATOMIC_RELEASE);
        return chunk;
    }
    if (chunk)
        give_back(client, at - 1);
    return none == NONE ? NULL : open_chunk_of(&client->state, none - 1u);
}

static inline struct open_entry *slot_of(const struct conn *c, struct open_chunk **chunk) {
    uint32_t index = conn_index(c);
    unsigned n = index / OPEN_PER_CHUNK;
    *chunk = n < OWN ? __atomic_load_n(&own_chunk[n], __ATOMIC_ACQUIRE) : NULL;
    return *chunk ? &(*chunk)->entry[index - n * OPEN_PER_CHUNK] : NULL;
}

/* Apart: hardly one connection in 63 comes here. */
__attribute__((noinline)) static struct open_entry *slot_taken(struct client *client, const struct conn *c,
                                                               struct open_chunk **chunk) {
    unsigned n = conn_index(c) / OPEN_PER_CHUNK;
    unsigned number = n < OWN ? __atomic_load_n(&own[n], __ATOMIC_ACQUIRE) : NONE;
    if (number == NONE)
        return NULL;
    *chunk = number ? open_chunk_of(&client->state, number - 1) : take_chunk(client, n, c);
    return *chunk ? &(*chunk)->entry[conn_index(c) % OPEN_PER_CHUNK] : NULL;
}

static struct open_entry *slot_for(struct client *client, const struct conn *c, struct open_chunk **chunk) {
    struct open_entry *h = slot_of(c, chunk);
    return h ? h : slot_taken(client, c, chunk);
}

static void put(struct open_entry *h, const struct conn *c, enum open_word word) {
    __atomic_store_n(&h->word, OPEN_FREE, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    h->local = c->source;
    h->peer = c->peer.addr;
    h->local_port = c->local_port;
    h->peer_port = c->peer.port;
    h->token = c->token || !(conn_flags(c) & CONN_MPTCP) ? c->token : MPTCP_UNKNOWN;
    h->rule_id = c->rule_id;
    h->pool_id = c->pool_id;
    h->direction = conn_flags(c) & CONN_INBOUND ? INBOUND : OUTBOUND;
    __atomic_store_n(&h->word, (uint8_t)word, __ATOMIC_RELEASE);
}

/* Stored once per tick of the coarse clock: threads share the line that it lies in. */
static void note_seen(struct open_chunk *chunk, uint64_t now) {
    if (__atomic_load_n(&chunk->seen_ns, __ATOMIC_RELAXED) != now)
        __atomic_store_n(&chunk->seen_ns, now, __ATOMIC_RELAXED);
}

void open_table_opened(struct client *client, const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_for(client, c, &chunk);
    if (!h) {
        state_count(&client->state, (enum arm)c->arm, COUNT_OPEN_TABLE_FULL);
        return;
    }
    uint64_t now = clock_ns(CLOCK_REALTIME_COARSE); /* some ms late at most, a third of the price */
    __atomic_store_n(&h->word, OPEN_FREE, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    h->connected_ns = now;
    h->counted = OPEN_UNCOUNTED;
    note_seen(chunk, now);
    put(h, c, OPEN_NOW);
}

void open_table_located(const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_of(c, &chunk);
    if (!h)
        return;
    h->local = c->source;
    h->peer = c->peer.addr;
    h->peer_port = c->peer.port;
    __atomic_store_n(&h->local_port, c->local_port, __ATOMIC_RELEASE);
}

/* The note follows the atomic operation at once: that may wait for its cache line, and a process that is killed
 * meanwhile has written neither. */

/* Somewhere to write for those without a slot. */
static uint8_t nowhere;

static uint8_t *note_of(const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_of(c, &chunk);
    return h ? &h->counted : &nowhere;
}

void open_table_count(const struct conn *c, uint64_t now) {
    uint8_t *note = note_of(c), how = addr_is_any(&c->source) ? OPEN_COUNTED_ANY : OPEN_COUNTED;
    pair_opened(c->pair, now);
    __atomic_store_n(note, how, __ATOMIC_RELAXED);
}

void open_table_uncount(const struct conn *c, bool time_wait, uint64_t now) {
    uint8_t *note = note_of(c);
    pair_closed(c->pair, time_wait, now);
    __atomic_store_n(note, OPEN_UNCOUNTED, __ATOMIC_RELAXED);
}

void open_table_closed(const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_of(c, &chunk);
    if (h)
        __atomic_store_n(&h->word, OPEN_FREE, __ATOMIC_RELEASE);
}

void open_table_pending(struct client *client, const struct conn *c, enum open_word word, enum tcp_state phase,
                        enum fate fate) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_for(client, c, &chunk);
    if (!h)
        return;
    h->verdict = open_verdict(phase, fate);
    h->marked_ns = clock_ns(CLOCK_REALTIME);
    put(h, c, word);
    if (word == OPEN_TO_EXIT)
        __atomic_store_n(&left_pending, true, __ATOMIC_RELAXED);
}

void open_table_exec_failed(const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_of(c, &chunk);
    if (h)
        put(h, c, OPEN_NOW);
}

/* Not made by this image of this process. connected_ns 0: not known since when. */
static void hold_again(struct client *client, const struct conn *c) {
    struct open_chunk *chunk;
    struct open_entry *h = slot_for(client, c, &chunk);
    if (!h)
        return;
    uint64_t age = clock_ns(CLOCK_MONOTONIC) - c->connected_ns, now = clock_ns(CLOCK_REALTIME);
    __atomic_store_n(&h->word, OPEN_FREE, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    h->connected_ns = c->connected_ns ? now - age : 0;
    h->counted = OPEN_UNCOUNTED;
    note_seen(chunk, now);
    put(h, c, OPEN_NOW);
}

void open_table_write_all(struct client *client) {
    struct conn *c;
    int n = 0;
    for (int fd = 0; n < INHERITED_MAX && (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        if (fd_look(fd, &c) == FD_TCP && (c->phase == CONN_CONNECTED || c->phase == CONN_CONNECTING)) {
            hold_again(client, c);
            n++;
        }
}

void open_table_inherit(struct client *client) {
    __atomic_store_n(&left_pending, false, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < __atomic_load_n(&own_end, __ATOMIC_RELAXED); i++) {
        __atomic_store_n(&own_chunk[i], NULL, __ATOMIC_RELAXED);
        __atomic_store_n(&own[i], 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&own_end, 0, __ATOMIC_RELAXED);
    open_table_write_all(client);
}

void open_table_release(struct client *client) {
    if (__atomic_load_n(&left_pending, __ATOMIC_RELAXED))
        return;
    for (unsigned i = 0; i < __atomic_load_n(&own_end, __ATOMIC_RELAXED); i++) {
        __atomic_store_n(&own_chunk[i], NULL, __ATOMIC_RELAXED);
        uint16_t number = __atomic_exchange_n(&own[i], 0, __ATOMIC_ACQ_REL);
        if (number != 0 && number != NONE)
            give_back(client, number - 1u);
    }
}

/* What an earlier image of this process left in this chunk. Returns whether connections survived. */
static bool take_over(struct client *client, struct open_chunk *chunk, open_table_marked *marked) {
    bool survived = false;
    for (unsigned j = 0; j < OPEN_PER_CHUNK; j++) {
        struct open_entry copy = chunk->entry[j];
        uint8_t word = __atomic_exchange_n(&chunk->entry[j].word, OPEN_FREE, __ATOMIC_ACQ_REL);
        if (word == OPEN_TO_EXEC)
            marked(client, &copy, chunk);
        else if (word != OPEN_FREE)
            pair_left(&client->state, chunk->netns, &copy, false, clock_ns(CLOCK_MONOTONIC));
        survived |= word == OPEN_NOW;
    }
    return survived;
}

bool open_table_take_over(struct client *client, open_table_marked *marked) {
    const struct state *s = &client->state;
    uint64_t pid = process_pid();
    unsigned end = open_chunks(s);
    bool survived = false;
    for (unsigned i = 0; i < end; i++) {
        if (__atomic_load_n(&s->open_table->owner[i], __ATOMIC_ACQUIRE) != pid)
            continue;
        struct open_chunk *chunk = open_chunk_of(s, i);
        if (!chunk || chunk->pid_namespace != own_namespace() || process_born_ns() > chunk->born_ns + 20000000u)
            continue; /* another process that had this pid: the tool's to record */
        survived |= take_over(client, chunk, marked);
        give_back(client, i);
    }
    return survived;
}
