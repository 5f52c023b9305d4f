#include "shim/readable.h"

#include <errno.h>
#include <stdint.h>

#include "state/sys.h"

enum { PAGE_BITS = 12, PAGES = 64, BYTES_MAX = 1 << 16, NO_HOW = -1, MASK_BYTES = 8 };

/* Numbers of pages, each at the place of its lowest bits. Any thread stores whole words, all of them true; page 0 is
 * never readable. */
static uintptr_t seen[PAGES];

static bool page_readable(uintptr_t page) {
    uintptr_t *known = &seen[page % PAGES];
    if (__builtin_expect(__atomic_load_n(known, __ATOMIC_RELAXED) == page, 1))
        return true;
    if (sys_call4(SYS_rt_sigprocmask, NO_HOW, page << PAGE_BITS, 0, MASK_BYTES) == -EFAULT)
        return false;
    __atomic_store_n(known, page, __ATOMIC_RELAXED);
    return true;
}

bool readable(const void *p, size_t bytes) {
    uintptr_t first = (uintptr_t)p, last = first + bytes - (bytes != 0);
    if (!sys_user_pointer(p) || bytes > BYTES_MAX || last < first)
        return false;
    for (uintptr_t page = first >> PAGE_BITS; page <= last >> PAGE_BITS; page++)
        if (!page_readable(page))
            return false;
    return true;
}
