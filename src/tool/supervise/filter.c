#include "tool/supervise/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

enum { IO_URING_SETUP = 425 }; /* on every architecture */

/* Numbers of the other ABI of this kernel. NONE: there is none, or it has no such call. */
enum { NONE = -1, SOCKETCALL_CONNECT = 3 };
#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define COMPAT AUDIT_ARCH_I386
enum { COMPAT_CONNECT = 362, COMPAT_SOCKETCALL = 102 };
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define COMPAT AUDIT_ARCH_ARM
enum { COMPAT_CONNECT = 283, COMPAT_SOCKETCALL = NONE };
#else
#define NATIVE AUDIT_ARCH_I386
#define COMPAT 0u
enum { COMPAT_CONNECT = NONE, COMPAT_SOCKETCALL = NONE };
#endif

#define LOAD(member)      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define IF_EQUAL(k, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(k), t, f)
#define IF_SET(k, t, f)   BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (unsigned)(k), t, f)
#define RETURN(action)    BPF_STMT(BPF_RET | BPF_K, action)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_WORD(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#else
#error "the low word of an argument lies elsewhere"
#endif

/* A number of the x32 ABI is none of these, and is allowed. Each line but the jumps to another section falls through to
 * the next. */
static int install(unsigned long flags, bool keep_io_uring) {
    const unsigned notify = SECCOMP_RET_USER_NOTIF, allow = SECCOMP_RET_ALLOW;
    const unsigned io_uring = keep_io_uring ? allow : SECCOMP_RET_ERRNO | ENOSYS;
    enum { NATIVE_LINES = 17 };
    struct sock_filter program[] = {
        LOAD(arch),
        IF_EQUAL(NATIVE, 0, NATIVE_LINES),
        LOAD(nr),
        IF_EQUAL(SYS_connect, 0, 1),
        RETURN(notify),
        IF_EQUAL(SYS_sendmsg, 0, 4),
        LOW_WORD(2), /* its flags */
        IF_SET(MSG_FASTOPEN, 0, 1),
        RETURN(notify),
        RETURN(allow),
        IF_EQUAL(SYS_sendto, 1, 0),
        IF_EQUAL(SYS_sendmmsg, 0, 4),
        LOW_WORD(3), /* their flags */
        IF_SET(MSG_FASTOPEN, 0, 1),
        RETURN(notify),
        RETURN(allow),
        IF_EQUAL(IO_URING_SETUP, 0, 1),
        RETURN(io_uring),
        RETURN(allow),
        /* not native */
        IF_EQUAL(COMPAT, 1, 0),
        RETURN(allow),
        LOAD(nr),
        IF_EQUAL(COMPAT_CONNECT, 0, 1),
        RETURN(notify),
        IF_EQUAL(IO_URING_SETUP, 0, 1),
        RETURN(io_uring),
        IF_EQUAL(COMPAT_SOCKETCALL, 0, 3),
        LOW_WORD(0), /* which call */
        IF_EQUAL(SOCKETCALL_CONNECT, 0, 1),
        RETURN(notify),
        RETURN(allow),
    };
    struct sock_fprog all = {.len = sizeof program / sizeof program[0], .filter = program};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &all);
}

int filter_install(bool keep_io_uring) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    int listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, keep_io_uring);
    if (listener < 0 && errno == EINVAL)
        listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER, keep_io_uring);
    return listener < 0 ? -errno : listener;
}

bool filter_is_compat(unsigned arch) {
    return arch != NATIVE;
}

bool filter_is_socketcall(unsigned arch, int nr) {
    return arch == COMPAT && nr >= 0 && nr == COMPAT_SOCKETCALL;
}
