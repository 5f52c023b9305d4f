#include "client/fdtab.h"

#include <stddef.h>
#include <string.h>

#include "base/lane.h"
#include "base/sys.h"

enum { FD_PAGE = 4096 / sizeof(fd_word), CONN_PAGE = 32 };

/* Roots live in .bss: 16 KiB and 64 KiB of address space, of which an idle process touches nothing. */
static fd_word *fd_page[FD_MAX / FD_PAGE];
static struct conn *conn_page[CONN_MAX / CONN_PAGE];

static uint32_t conn_fresh; /* connections ever handed out from pages; those below are in use or on a free list */

/* Free lists: tag << 32 | index + 1. The tag defeats ABA. Several, each a cache line of its own, so that threads get
 * back what they gave: a record, and its entry in the open table, would else move from processor to processor. */
enum { SPARES = 16, LINE = 64 };
static struct { _Alignas(LINE) uint64_t head; } conn_spare[SPARES];

/* conn.refs: its lower bits count all that keep a record from being used anew, the upper ones those of them that are
 * threads at work with it. A fork child has the descriptors, but not the threads. */
enum { HOLD_SHIFT = 24, ALL = (1 << HOLD_SHIFT) - 1, HOLDS_MAX = 255 };
#define HOLD (UINT32_C(1) << HOLD_SHIFT | 1)

__attribute__((noinline)) static void *make_page(void **root, size_t length) {
    void *p = NULL;
    void *fresh = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!fresh)
        return NULL;
    if (__atomic_compare_exchange_n(root, &p, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    (void)sys_call2(SYS_munmap, fresh, length); /* another thread was faster */
    return p;
}

static void *page_at(void **root, size_t length) {
    void *p = __atomic_load_n(root, __ATOMIC_ACQUIRE);
    return p ? p : make_page(root, length);
}

static struct conn *conn_at(uint32_t index) {
    struct conn *p = index < CONN_MAX ? __atomic_load_n(&conn_page[index / CONN_PAGE], __ATOMIC_ACQUIRE) : NULL;
    return p ? p + index % CONN_PAGE : NULL;
}

/* Kept in the connection's own `next` while it is in use: it needs no link then. */
uint32_t conn_index(const struct conn *c) {
    return c->next;
}

/* Neighbours, which different threads have, lie in different cache lines; in so few that they stay near by. */
static unsigned place_of(unsigned fd) {
    const unsigned words = LINE / sizeof(fd_word), block = words * 8;
    unsigned turned = fd * (words + 1) % block; /* an odd factor: each place once */
    return (fd / block * block + turned) % FD_PAGE;
}

static fd_word *word_of(int fd, bool create) {
    if ((unsigned)fd >= FD_MAX)
        return NULL;
    void **root = (void **)&fd_page[(unsigned)fd / FD_PAGE];
    fd_word *p = create ? page_at(root, 4096) : __atomic_load_n(root, __ATOMIC_ACQUIRE);
    return p ? p + place_of((unsigned)fd) : NULL;
}

/* A word is the address of a connection, or what there is instead: a kind, or FD_CLOSING by several threads. */
enum { CLOSED_TWICE = FD_TCP };

static enum fd_kind decode(fd_word word, struct conn **conn) {
    bool tcp = word > CLOSED_TWICE;
    *conn = tcp ? (struct conn *)word : NULL;
    return word == CLOSED_TWICE ? FD_CLOSING : tcp ? FD_TCP : (enum fd_kind)word;
}

fd_word *fd_word_of(int fd) {
    return word_of(fd, false);
}

enum fd_kind fd_look_at(const fd_word *word, struct conn **conn) {
    return decode(word ? __atomic_load_n(word, __ATOMIC_ACQUIRE) : FD_UNKNOWN, conn);
}

enum fd_kind fd_look(int fd, struct conn **conn) {
    return fd_look_at(word_of(fd, false), conn);
}

bool fd_is(int fd, const struct conn *conn) {
    const fd_word *word = word_of(fd, false);
    return word && __atomic_load_n(word, __ATOMIC_ACQUIRE) == (fd_word)conn;
}

enum fd_kind fd_closing(fd_word *word, struct conn **conn) {
    fd_word old = word ? __atomic_load_n(word, __ATOMIC_ACQUIRE) : FD_UNKNOWN;
    for (;;) {
        enum fd_kind kind = decode(old, conn);
        fd_word fresh = kind == FD_TCP ? FD_CLOSING : CLOSED_TWICE;
        if (kind < FD_CLOSING ||
            __atomic_compare_exchange_n(word, &old, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return kind;
    }
}

static void forget_closing(fd_word *word) {
    fd_word old = FD_CLOSING;
    while (!__atomic_compare_exchange_n(word, &old, FD_UNKNOWN, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED) &&
           old == CLOSED_TWICE) {
    }
}

void fd_closed(fd_word *word) {
    if (word)
        forget_closing(word);
}

bool fd_put_back(fd_word *word, struct conn *conn) {
    fd_word old = FD_CLOSING;
    return __atomic_compare_exchange_n(word, &old, (fd_word)conn, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static void replace(fd_word *word, fd_word fresh) {
    struct conn *stale = NULL;
    if (word)
        (void)decode(__atomic_exchange_n(word, fresh, __ATOMIC_ACQ_REL), &stale);
    if (stale && conn_unref(stale))
        conn_free(stale);
}

void fd_set_not_tcp(int fd) {
    replace(word_of(fd, true), FD_NOT_TCP);
}

__attribute__((noinline)) void fd_set_unknown(int fd) {
    replace(word_of(fd, false), FD_UNKNOWN);
}

struct conn *fd_assign(int fd, struct conn *conn, bool *kept) {
    struct conn *stale = NULL;
    fd_word *word = word_of(fd, true);
    *kept = word != NULL;
    if (word)
        (void)decode(__atomic_exchange_n(word, (fd_word)conn, __ATOMIC_ACQ_REL), &stale);
    return stale;
}

int fd_next_tcp(int from, int to) {
    if (to >= FD_MAX)
        to = FD_MAX - 1;
    for (int fd = from < 0 ? 0 : from; fd <= to; fd++) {
        const fd_word *word = word_of(fd, false);
        if (!word) {
            fd |= FD_PAGE - 1; /* to the end of the unmapped span */
            continue;
        }
        if (__atomic_load_n(word, __ATOMIC_RELAXED) > CLOSED_TWICE)
            return fd;
    }
    return -1;
}

static struct conn *take_from(uint64_t *list) {
    uint64_t head = __atomic_load_n(list, __ATOMIC_ACQUIRE);
    while ((uint32_t)head != 0) {
        uint32_t index = (uint32_t)head - 1;
        struct conn *c = conn_at(index);
        /* c may be taken by another thread meanwhile; then next is garbage, and the exchange fails for the tag. */
        uint64_t link = __atomic_load_n(&c->next, __ATOMIC_RELAXED);
        uint64_t fresh = ((head >> 32) + 1) << 32 | (uint32_t)link;
        if (__atomic_compare_exchange_n(list, &head, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            /* All but refs and serial, which conn_new sets, and next, which such a thread may be reading. */
            memset(&c->generation, 0, sizeof *c - offsetof(struct conn, generation));
            __atomic_store_n(&c->next, index, __ATOMIC_RELAXED);
            return c;
        }
    }
    return NULL;
}

/* Any list would do: two threads may have the same lane, and another thread may free what this one made. */
static struct conn *take_spare(void) {
    struct conn *c = NULL;
    for (unsigned i = 0, own = thread_lane(SPARES); !c && i < SPARES; i++)
        c = take_from(&conn_spare[(own + i) % SPARES].head);
    return c;
}

struct conn *conn_new(void) {
    struct conn *c = take_spare();
    if (!c) {
        uint32_t index = __atomic_load_n(&conn_fresh, __ATOMIC_RELAXED);
        do {
            if (index >= CONN_MAX)
                return NULL;
        } while (
            !__atomic_compare_exchange_n(&conn_fresh, &index, index + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        c = page_at((void **)&conn_page[index / CONN_PAGE], CONN_PAGE * sizeof *c);
        if (!c)
            return NULL; /* this index is lost; there is no memory anyway */
        c += index % CONN_PAGE;
        c->next = index;
    }
    __atomic_store_n(&c->serial, c->serial + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&c->refs, 1, __ATOMIC_RELEASE);
    return c;
}

/* Released: after a close that was not made it may be the first, and the thread that takes the next one reads the
 * record. */
void conn_ref(struct conn *c) {
    __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELEASE);
}

/* By one that has none: false when there is none to share. */
static bool ref_in_use(struct conn *c, uint32_t unit) {
    uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
    do {
        if ((refs & ALL) == 0 || (unit == HOLD && refs >> HOLD_SHIFT == HOLDS_MAX))
            return false;
    } while (!__atomic_compare_exchange_n(&c->refs, &refs, refs + unit, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return true;
}

bool conn_unref(struct conn *c) {
    return (__atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL) & ALL) == 1;
}

bool conn_unref_only(struct conn *c) {
    uint32_t refs = 1;
    return __atomic_compare_exchange_n(&c->refs, &refs, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

__attribute__((noinline)) bool conn_unref_held(struct conn *c, bool copies, bool *held) {
    uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED), fresh;
    do {
        uint32_t holds = refs >> HOLD_SHIFT, others = (refs & ALL) - 1;
        *held = others != 0 && (copies || others == holds) && holds != HOLDS_MAX;
        fresh = refs - 1 + (*held ? HOLD : 0);
    } while (!__atomic_compare_exchange_n(&c->refs, &refs, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return (refs & ALL) == 1;
}

/* In a child that a signal handler forked under a hold there is none any more. */
bool conn_unhold(struct conn *c) {
    uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
    do {
        if (refs >> HOLD_SHIFT == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&c->refs, &refs, refs - HOLD, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return (refs & ALL) == 1;
}

static void drop_holds(struct conn *c) {
    uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
    while (refs >> HOLD_SHIFT != 0 && !__atomic_compare_exchange_n(&c->refs, &refs, (refs & ALL) - (refs >> HOLD_SHIFT),
                                                                   false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
}

bool conn_held_alone(const struct conn *c) {
    return (__atomic_load_n(&c->refs, __ATOMIC_ACQUIRE) & ALL) == 1;
}

uint32_t conn_descriptors(const struct conn *c) {
    uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
    return (refs & ALL) - (refs >> HOLD_SHIFT);
}

uint32_t conn_serial(const struct conn *c) {
    return __atomic_load_n(&c->serial, __ATOMIC_RELAXED);
}

bool conn_take(struct conn *c, uint32_t serial) {
    /* Looked at before the count, too: another connection's is not touched. */
    if (conn_serial(c) != serial || !ref_in_use(c, HOLD))
        return false;
    if (conn_serial(c) == serial)
        return true;
    if (conn_unhold(c))
        conn_free(c);
    return false;
}

static struct conn *ref_of(int fd, uint32_t unit) {
    struct conn *c;
    fd_word *word = word_of(fd, false), was = word ? __atomic_load_n(word, __ATOMIC_ACQUIRE) : FD_UNKNOWN;
    if (decode(was, &c) != FD_TCP || !c || !ref_in_use(c, unit))
        return NULL;
    /* Between the look and the count it may have been closed and its record given to another connection. */
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == was)
        return c;
    if (unit == HOLD ? conn_unhold(c) : conn_unref(c))
        conn_free(c);
    return NULL;
}

struct conn *conn_share(int fd) {
    return ref_of(fd, 1);
}

struct conn *conn_hold_of(int fd) {
    return ref_of(fd, HOLD);
}

void conn_free(struct conn *c) {
    uint32_t index = conn_index(c);
    uint64_t *list = &conn_spare[thread_lane(SPARES)].head, head = __atomic_load_n(list, __ATOMIC_RELAXED), fresh;
    do {
        __atomic_store_n(&c->next, (uint32_t)head, __ATOMIC_RELAXED);
        fresh = ((head >> 32) + 1) << 32 | (index + 1);
    } while (!__atomic_compare_exchange_n(list, &head, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

void fd_forget_closing(void) {
    for (int fd = 0; fd < FD_MAX; fd++) {
        fd_word *word = word_of(fd, false);
        struct conn *c;
        if (!word)
            fd |= FD_PAGE - 1;
        else if (decode(__atomic_load_n(word, __ATOMIC_RELAXED), &c) == FD_CLOSING)
            forget_closing(word);
        else if (c)
            drop_holds(c);
    }
}
