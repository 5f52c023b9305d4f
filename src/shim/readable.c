#include "shim/readable.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/kernel_constants.h"
#include "base/sys.h"

enum { PAGE_BITS = 12, PAGE_BYTES = 1 << PAGE_BITS, PAGES = 64, BYTES_MAX = 1 << 16, NO_HOW = -1, MASK_BYTES = 8 };

/* Numbers of pages, each at the place of its lowest bits. Any thread stores whole words, all of them true; page 0 is
 * never readable. */
static uintptr_t seen[PAGES];

/* How the kernel is asked. Both change nothing: madvise(MADV_POPULATE_READ) maps what reading would map; rt_sigprocmask
 * reads a new mask before it finds that `how` is none (kernel/signal.c). */
enum way { WAY_UNKNOWN, WAY_POPULATE, WAY_MASK, WAY_NONE };
static uint8_t way; /* any thread may store it, each after the same trial */

static bool kernel_reads(enum way by, uintptr_t page) {
    uintptr_t address = page << PAGE_BITS;
    if (by == WAY_POPULATE)
        return sys_call3(SYS_madvise, address, PAGE_BYTES, MADV_POPULATE_READ) == 0;
    return sys_call4(SYS_rt_sigprocmask, NO_HOW, address, 0, MASK_BYTES) == -EINVAL;
}

/* A filter may give either call an answer that is not the kernel's: a way is believed once it has told a page of ours,
 * which can be read, from the kernel's, which cannot. */
__attribute__((noinline)) static enum way try_ways(void) {
    uintptr_t ours = (uintptr_t)seen >> PAGE_BITS, kernels = UINTPTR_MAX >> PAGE_BITS;
    enum way by = WAY_POPULATE;
    while (by < WAY_NONE && !(kernel_reads(by, ours) && !kernel_reads(by, kernels)))
        by++;
    __atomic_store_n(&way, (uint8_t)by, __ATOMIC_RELAXED);
    return by;
}

static bool is_seen(uintptr_t page) {
    return __builtin_expect(__atomic_load_n(&seen[page % PAGES], __ATOMIC_RELAXED) == page, 1);
}

static void see(uintptr_t page) {
    __atomic_store_n(&seen[page % PAGES], page, __ATOMIC_RELAXED);
}

static bool page_readable(uintptr_t page) {
    if (is_seen(page))
        return true;
    enum way by = (enum way)__atomic_load_n(&way, __ATOMIC_RELAXED);
    if (by == WAY_UNKNOWN)
        by = try_ways();
    if (by == WAY_NONE || !kernel_reads(by, page))
        return false;
    see(page);
    return true;
}

struct pages {
    uintptr_t first, last;
};

static struct pages pages_of(const void *p, size_t bytes) {
    uintptr_t address = (uintptr_t)p;
    return (struct pages){address >> PAGE_BITS, (address + bytes - (bytes != 0)) >> PAGE_BITS};
}

bool readable(const void *p, size_t bytes) {
    struct pages at = pages_of(p, bytes);
    if (!sys_user_pointer(p) || bytes > BYTES_MAX || at.last < at.first)
        return false;
    for (uintptr_t page = at.first; page <= at.last; page++)
        if (!page_readable(page))
            return false;
    return true;
}

void readable_shown(const void *p, size_t bytes) {
    struct pages at = pages_of(p, bytes);
    for (uintptr_t page = at.first; bytes != 0 && page <= at.last; page++)
        see(page);
}
