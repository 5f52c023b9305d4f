/* sys.h - our own system calls inside the client: raw, never libc's.
 *
 * libc's versions are cancellation points, set errno, and may be another library's wrapper (our own among them). These
 * return the kernel's answer: >= 0, or -errno. They touch no errno and are async-signal-safe. */
#ifndef CONNSPREAD_BASE_SYS_H
#define CONNSPREAD_BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && !defined(__ILP32__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}
#elif defined(__i386__)
/* Six arguments through a block in memory: %ebp cannot be named as an operand, and %ebx may be the GOT pointer. */
static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    const long args[6] = {a, b, c, d, e, f};
    __asm__ volatile("pushl %%ebx; pushl %%ebp; pushl %%esi; pushl %%edi;"
                     "movl %2, %%esi; movl (%%esi), %%ebx; movl 4(%%esi), %%ecx; movl 8(%%esi), %%edx;"
                     "movl 16(%%esi), %%edi; movl 20(%%esi), %%ebp; movl 12(%%esi), %%esi; int $0x80;"
                     "popl %%edi; popl %%esi; popl %%ebp; popl %%ebx"
                     : "=a"(result)
                     : "0"(n), "S"(args)
                     : "ecx", "edx", "memory");
    return result;
}
#else
#error "connspread knows the system call instruction of x86-64, i386 and arm64 only"
#endif

/* The gate: once the process has sealed itself with a seccomp filter, every call of ours could be its death, and none
 * is made: it "fails" with EPERM, as it would under a filter that forgives. All of our system calls go through here, so
 * nothing that is forgotten elsewhere can get past it. raw.c, which makes the client's own calls, defines SYS_UNGATED.
 * What remains: a thread that is between this look and the instruction while another one seals them all (TSYNC). */
__attribute__((weak, visibility("hidden"))) uint32_t sys_filters; /* installed by this process, 0 in the tool; atomic */

static inline bool sys_sealed(void) {
    return __atomic_load_n(&sys_filters, __ATOMIC_RELAXED) != 0;
}

#ifdef SYS_UNGATED
#define sysg sys6
#else
static inline long sysg(long n, long a, long b, long c, long d, long e, long f) {
    return sys_sealed() ? -1 /* EPERM */ : sys6(n, a, b, c, d, e, f);
}
#endif

#ifdef __clang_analyzer__
/* The analyser does not see that the kernel writes through a pointer that became a long: shown to it as a call. */
extern long syscall(long number, ...);
#define sys_call0(n)                   syscall(n)
#define sys_call1(n, a)                syscall(n, a)
#define sys_call2(n, a, b)             syscall(n, a, b)
#define sys_call3(n, a, b, c)          syscall(n, a, b, c)
#define sys_call4(n, a, b, c, d)       syscall(n, a, b, c, d)
#define sys_call5(n, a, b, c, d, e)    syscall(n, a, b, c, d, e)
#define sys_call6(n, a, b, c, d, e, f) syscall(n, a, b, c, d, e, f)
#else
#define SYS_ARG(x)                     ((long)(x))
#define sys_call0(n)                   sysg(n, 0, 0, 0, 0, 0, 0)
#define sys_call1(n, a)                sysg(n, SYS_ARG(a), 0, 0, 0, 0, 0)
#define sys_call2(n, a, b)             sysg(n, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define sys_call3(n, a, b, c)          sysg(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define sys_call4(n, a, b, c, d)       sysg(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define sys_call5(n, a, b, c, d, e)    sysg(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)
#define sys_call6(n, a, b, c, d, e, f) sysg(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), SYS_ARG(f))
#endif

/* The few whose arguments or structures differ between ABIs. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#ifdef SYS_fstat64
typedef struct stat64 sys_stat;
#define sys_fstat(fd, out) ((int)sys_call2(SYS_fstat64, fd, out))
#else
typedef struct stat sys_stat;
#define sys_fstat(fd, out) ((int)sys_call2(SYS_fstat, fd, out))
#endif

static inline int sys_stat_of(const char *path, sys_stat *out) {
#ifdef SYS_newfstatat
    return (int)sys_call4(SYS_newfstatat, -100 /* AT_FDCWD */, path, out, 0);
#else
    return (int)sys_call4(SYS_fstatat64, -100, path, out, 0);
#endif
}

/* Whole mappings from offset 0 or anonymous ones (fd -1). NULL on failure. */
static inline void *sys_mmap(size_t length, int protection, int flags, int fd) {
#ifdef SYS_mmap2
    long r = sys_call6(SYS_mmap2, 0, length, protection, flags, fd, 0);
#else
    long r = sys_call6(SYS_mmap, 0, length, protection, flags, fd, 0);
#endif
    return (unsigned long)r > -4096UL ? NULL : (void *)r;
}

static inline int sys_fallocate(int fd, uint64_t length) {
#ifdef __i386__
    return (int)sys_call6(SYS_fallocate, fd, 0, 0, 0, (uint32_t)length, (uint32_t)(length >> 32));
#else
    return (int)sys_call4(SYS_fallocate, fd, 0, 0, length);
#endif
}

static inline uint32_t sys_geteuid(void) {
#ifdef SYS_geteuid32
    return (uint32_t)sys_call0(SYS_geteuid32);
#else
    return (uint32_t)sys_call0(SYS_geteuid);
#endif
}

/* Can this be a pointer into a client's memory? One that cannot (the first page; the kernel's half; on 32 bit the last
 * page, where errors turned pointers lie) is left to the kernel's EFAULT. The client's memory is read, never written.
 */
static inline bool sys_user_pointer(const void *p) {
    unsigned long last = sizeof(long) == 8 ? ~0UL / 2 : ~0UL - 4096;
    return (unsigned long)p >= 4096 && (unsigned long)p <= last;
}

/* Or until a signal comes. */
static inline void sys_sleep_us(unsigned us) {
    struct {
        long s, ns;
    } t = {(long)(us / 1000000), (long)(us % 1000000) * 1000};
    (void)sys_call2(SYS_nanosleep, &t, 0);
}

static inline void sys_sleep_ms(unsigned ms) {
    sys_sleep_us(ms * 1000);
}

/* Nanoseconds of a clock. libc's clock_gettime goes through the vDSO, is no cancellation point, is on POSIX's list of
 * async-signal-safe functions, and cannot fail for the clocks used here. */
static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
