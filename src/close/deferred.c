#include "close/deferred.h"

/* AGAIN: busy, and another thread left its close meanwhile, so the answer that is being waited for may be too old. */
enum note_state { FREE, WRITING, READY, BUSY, AGAIN };

enum { NOTES = 8, AGAIN_MAX = 64 };

struct note {
    uint64_t word; /* number << 3 | enum note_state: the thread that changes the state owns the rest */
    struct closing closing;
    struct conn conn;
};

static struct note notes[NOTES];
static uint32_t left; /* notes ever left */

static uint64_t word_of(uint32_t number, enum note_state state) {
    return (uint64_t)number << 3 | state;
}

static enum note_state state_of(uint64_t word) {
    return (enum note_state)(word & 7);
}

static uint32_t number_of(uint64_t word) {
    return (uint32_t)(word >> 3);
}

static bool change(struct note *n, uint64_t from, uint64_t to) {
    return __atomic_compare_exchange_n(&n->word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

uint32_t deferred_mark(void) {
    return __atomic_load_n(&left, __ATOMIC_ACQUIRE);
}

/* Those that a thread may still come for are the youngest, so a free slot or else the oldest. */
static struct note *take(uint64_t fresh) {
    for (int tries = 0; tries < 4; tries++) {
        struct note *best = NULL;
        uint64_t seen = 0;
        for (struct note *n = notes; n < notes + NOTES; n++) {
            uint64_t word = __atomic_load_n(&n->word, __ATOMIC_RELAXED);
            bool older = !best || (int32_t)(number_of(word) - number_of(seen)) < 0;
            if (state_of(word) == FREE || (state_of(word) == READY && older)) {
                best = n;
                seen = word;
            }
            if (state_of(word) == FREE)
                break;
        }
        if (best && change(best, seen, fresh))
            return best;
    }
    return NULL;
}

uint64_t deferred_leave(const struct closing *c) {
    uint32_t number = __atomic_add_fetch(&left, 1, __ATOMIC_ACQ_REL);
    struct note *n = take(word_of(number, WRITING));
    if (!n)
        return 0;
    n->closing = *c;
    n->conn = *c->conn;
    n->closing.conn = &n->conn;
    uint64_t ready = word_of(number, READY);
    __atomic_store_n(&n->word, ready, __ATOMIC_RELEASE);
    /* Before the next question to the kernel. The other side needs none: the kernel drops a reference to a file with a
     * fully ordered operation (atomic_long_dec_and_test), before the close returns. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ready;
}

/* True: it is the caller's now. */
static bool grab(struct note *n, uint64_t ready, enum note_state as) {
    uint64_t busy = word_of(number_of(ready), BUSY);
    return change(n, ready, word_of(number_of(ready), as)) ||
           (!change(n, busy, word_of(number_of(ready), AGAIN)) && change(n, ready, word_of(number_of(ready), as)));
}

bool deferred_withdraw(uint64_t note) {
    if (note == 0)
        return true;
    for (struct note *n = notes; n < notes + NOTES; n++)
        if (number_of(__atomic_load_n(&n->word, __ATOMIC_RELAXED)) == number_of(note))
            return grab(n, note, FREE);
    return false;
}

static void ask(struct note *n, uint32_t number, bool (*settle)(struct closing *)) {
    for (int tries = 0; tries < AGAIN_MAX; tries++) {
        /* Busy for all to see before the question: a thread that lets go from now on leaves AGAIN, not trusting an
         * answer that was given before. Without it the store below may become visible after the answer. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (settle(&n->closing)) {
            __atomic_store_n(&n->word, word_of(number, FREE), __ATOMIC_RELEASE);
            return;
        }
        if (change(n, word_of(number, BUSY), word_of(number, READY)))
            return;
        __atomic_store_n(&n->word, word_of(number, BUSY), __ATOMIC_RELEASE);
    }
    __atomic_store_n(&n->word, word_of(number, READY), __ATOMIC_RELEASE);
}

__attribute__((noinline)) void deferred_settle(uint32_t mark, bool (*settle)(struct closing *)) {
    for (struct note *n = notes; n < notes + NOTES; n++) {
        uint32_t number = number_of(__atomic_load_n(&n->word, __ATOMIC_RELAXED));
        if ((int32_t)(number - mark) > 0 && grab(n, word_of(number, READY), BUSY))
            ask(n, number, settle);
    }
}

void deferred_forget(void) {
    for (struct note *n = notes; n < notes + NOTES; n++)
        __atomic_store_n(&n->word, 0, __ATOMIC_RELAXED);
}
