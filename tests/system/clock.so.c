/* Preloaded behind the shim: a clock that jumps. Every few calls the offset to the true time is another one: seconds,
 * days, back to the boot, decades ahead. $CLOCK_SEED makes it repeatable. Each clock has its own. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
    uint64_t x = __atomic_load_n(&state, __ATOMIC_RELAXED);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    __atomic_store_n(&state, x, __ATOMIC_RELAXED);
    return x;
}

__attribute__((constructor)) static void seed(void) {
    const char *text = getenv("CLOCK_SEED");
    if (text)
        state ^= strtoull(text, NULL, 10) * 0x9e3779b97f4a7c15u;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    static int64_t offset[8];
    static const int64_t reach[] = {2, 60, 3600, 86400, 365 * (int64_t)86400};
    long r = syscall(SYS_clock_gettime, clock, t);
    if (r != 0)
        return (int)r;
    int64_t *mine = &offset[(unsigned)clock % 8];
    if (next() % 4 == 0) {
        int64_t far = reach[next() % 5];
        *mine = (int64_t)(next() % (uint64_t)(2 * far)) - far;
        if (next() % 16 == 0)
            *mine = -t->tv_sec; /* the boot, or 1970 */
    }
    t->tv_sec += *mine;
    if (t->tv_sec < 0)
        t->tv_sec = 0;
    return 0;
}
