#include "state/segment.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/kernel_constants.h"
#include "base/sys.h"

/* The end of what is mapped, of which mremap makes the second mapping: a page on any host. */
enum { TAIL = BLOCK_BYTES };

static const size_t bytes = SEGMENT_BYTES;
static const uint64_t again_ns = 1000000000u;

/* CLOCK_MONOTONIC: a block could not be had, so this process tries none before then. Atomic; private, for what keeps
 * one process from it (a filter, its group's memory) says nothing about the others. */
static uint64_t not_before;

/* Every page of it, so that no later store can fault; then it need not be in this process's memory until it is used. */
static int populate(void *at, size_t size) {
    int r = (int)sys_call3(SYS_madvise, at, size, MADV_POPULATE_WRITE);
    if (r == 0)
        (void)sys_call3(SYS_madvise, at, size, MADV_DONTNEED);
    return r;
}

static void note_no_room(struct state_header *header, enum no_room why) {
    uint64_t none = 0;
    (void)__atomic_compare_exchange_n(&header->no_room[why], &none, NO_ROOM_MET, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED);
}

/* What populate says when the file system is full, or the memory that may be used for it. */
static bool is_full(int r) {
    return r == -EFAULT || r == -ENOMEM;
}

void blocks_are_there(struct state_header *header, unsigned n) {
    for (unsigned i = 0; i < n && i < BLOCKS; i += 64)
        header->block[i / 64] = n - i < 64 ? ((uint64_t)1 << (n - i)) - 1 : UINT64_MAX;
}

int block_allocate(struct state_header *header, unsigned n) {
    int r = populate((unsigned char *)header + (size_t)n * BLOCK_BYTES, BLOCK_BYTES);
    if (r == 0)
        (void)__atomic_fetch_or(&header->block[n / 64], (uint64_t)1 << n % 64, __ATOMIC_RELEASE);
    return r;
}

/* Apart: it is done once for each block. */
__attribute__((noinline)) bool block_make(struct state_header *header, const void *at) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC), next = __atomic_load_n(&not_before, __ATOMIC_RELAXED);
    if (now < next)
        return false;
    int r = block_allocate(header, (unsigned)(((const unsigned char *)at - (unsigned char *)header) / BLOCK_BYTES));
    if (r != 0)
        __atomic_store_n(&not_before, now + again_ns, __ATOMIC_RELAXED);
    if (is_full(r))
        note_no_room(header, NO_ROOM_DISK);
    return r == 0;
}

struct segments *segments_begin(struct state_header *header, size_t mapped_bytes, uint64_t file_size) {
    uint64_t room = file_size > mapped_bytes ? (file_size - mapped_bytes) / bytes : 0;
    if (mapped_bytes % TAIL != 0 || mapped_bytes < TAIL)
        return NULL;
    struct segments *all = sys_mmap(sizeof *all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!all)
        return NULL;
    all->header = header;
    all->tail = (unsigned char *)header + mapped_bytes - TAIL;
    all->n = room < SEGMENTS ? (unsigned)room : SEGMENTS;
    return all;
}

void segments_end(struct segments *all) {
    if (!all)
        return;
    for (unsigned i = 0; i < all->n; i++)
        if (all->at[i])
            (void)sys_call2(SYS_munmap, all->at[i], bytes);
    (void)sys_call2(SYS_munmap, all, sizeof *all);
}

void segments_unlock(const struct segments *all) {
    for (unsigned i = 0; all && i < all->n; i++) {
        void *at = __atomic_load_n(&all->at[i], __ATOMIC_ACQUIRE);
        if (at)
            (void)sys_call2(SYS_munlock, at, bytes);
    }
}

/* Memory that the client locks (mlockall) is not for us to add to: the kernel would fetch all that lies before the
 * segment as well. MADV_DONTNEED, which takes nothing from a shared page, tells: of locked memory it is refused. */
static bool is_locked(void *page) {
    return sys_call3(SYS_madvise, page, TAIL, MADV_DONTNEED) != 0;
}

/* What a client may map in all is its own, and on 32 bit that has an end without a limit, too. For a moment all that
 * lies before the segment is mapped as well. */
static bool leaves_room(const struct segments *all, size_t more) {
    uint64_t limit[2] = {UINT64_MAX, UINT64_MAX}; /* struct rlimit64 */
    uint64_t most = sizeof(void *) == 4 ? (uint64_t)1 << 31 : UINT64_MAX;
    uint64_t had = (uint64_t)(all->tail - (unsigned char *)all->header) + TAIL;
    if (sys_call4(SYS_prlimit64, 0, RLIMIT_AS, 0, limit) == 0 && limit[0] < most)
        most = limit[0];
    return had + more <= most / ADDRESS_SPACE_SHARE;
}

/* From the tail on to the segment's end; what lies before the segment is given back at once. */
static void *map(const struct segments *all, unsigned n) {
    size_t before = TAIL + (size_t)n * bytes;
    if (is_locked(all->tail) || !leaves_room(all, before + bytes))
        return NULL;
    long r = sys_call5(SYS_mremap, all->tail, 0, before + bytes, MREMAP_MAYMOVE, 0);
    if ((unsigned long)r > -4096UL)
        return NULL;
    (void)sys_call2(SYS_munmap, r, before);
    return (unsigned char *)r + before;
}

/* Any of several threads that come at once may win; the others give theirs back. */
static void *mapping_of(struct segments *all, unsigned n) {
    void *at = __atomic_load_n(&all->at[n], __ATOMIC_ACQUIRE), *own;
    if (at || all->copied || __atomic_load_n(&all->refused, __ATOMIC_RELAXED))
        return at;
    own = map(all, n);
    if (!own) {
        __atomic_store_n(&all->refused, true, __ATOMIC_RELAXED);
        __atomic_store_n(&all->stuck, true, __ATOMIC_RELAXED);
        return NULL;
    }
    if (__atomic_compare_exchange_n(&all->at[n], &at, own, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return own;
    (void)sys_call2(SYS_munmap, own, bytes);
    return at;
}

static uint8_t kind_of(const struct segments *all, unsigned n) {
    return __atomic_load_n(&all->header->segment[n], __ATOMIC_ACQUIRE);
}

void *segment_find(struct segments *all, unsigned n, enum segment_kind kind) {
    return all && n < all->n && kind_of(all, n) == kind ? mapping_of(all, n) : NULL;
}

unsigned segments_of(const struct segments *all, enum segment_kind kind) {
    unsigned n = 0;
    for (unsigned i = 0; all && i < all->n; i++)
        if (kind_of(all, i) == kind)
            n = i + 1;
    return n;
}

/* Maps, allocates and takes it. False: it could not be done; what it is now, is another process's doing. */
static bool take(struct segments *all, unsigned n, enum segment_kind kind) {
    uint8_t was = SEGMENT_FREE;
    void *at = mapping_of(all, n);
    int r = at ? populate(at, bytes) : -EPERM;
    if (is_full(r))
        note_no_room(all->header, NO_ROOM_DISK);
    if (r != 0)
        __atomic_store_n(&all->stuck, true, __ATOMIC_RELAXED);
    /* Another process that came here at the same time has allocated the same: what it took it for, it is. */
    return r == 0 && __atomic_compare_exchange_n(&all->header->segment[n], &was, (uint8_t)kind, false, __ATOMIC_ACQ_REL,
                                                 __ATOMIC_ACQUIRE);
}

int segment_grow(struct segments *all, enum segment_kind kind, unsigned known) {
    for (unsigned i = 0; all && i < all->n; i++) {
        if (kind_of(all, i) == SEGMENT_FREE) {
            if (!segments_may_grow(all))
                return -1;
            if (take(all, i, kind))
                return (int)i;
        }
        if (kind_of(all, i) == kind && i >= known)
            return (int)i;
    }
    if (!segments_may_grow(all))
        return -1;
    note_no_room(all->header, NO_ROOM_SIZE);
    __atomic_store_n(&all->stuck, true, __ATOMIC_RELAXED); /* none becomes free again */
    return -1;
}
