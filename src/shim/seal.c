#include "shim/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>

#include "shim/self.h"
#include "client/process.h"
#include "base/sys.h"
#include "close/located.h"
#include "connect/prepare.h"
#include "client/fdtab.h"

static bool trusted; /* whatever the client installs */

#define FILTERS_UNKNOWN UINT32_MAX

/* What follows key at the beginning of a line. */
static uint32_t number_after(const char *text, const char *key) {
    size_t length = strlen(key);
    uint32_t n = 0;
    while (text && strncmp(text, key, length) != 0) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    if (!text)
        return FILTERS_UNKNOWN;
    for (const char *p = text + length; *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (uint32_t)(*p - '0');
    return n;
}

/* open, read and close have just been made, behind the same filters, to load this library: by the number that is used
 * here (musl's loader opens where glibc's opens at a folder). */
static long open_status(void) {
    static const char path[] = "/proc/self/status";
#if !defined(__GLIBC__) && defined(SYS_open)
    return sys_call3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
#else
    return sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
#endif
}

static uint32_t inherited_filters(void) {
    char text[8192] = {0};
    int fd = (int)open_status();
    long n = fd < 0 ? -1 : sys_call3(SYS_read, fd, text, sizeof text - 1);
    if (fd >= 0)
        (void)sys_call1(SYS_close, fd);
    text[n > 0 ? n : 0] = 0;
    if (number_after(text, "Seccomp:\t") == 0)
        return 0;
    return number_after(text, "Seccomp_filters:\t"); /* Linux 5.9 */
}

bool seal_allows(const char *environment) {
    uint32_t known = 0;
    trusted = environment && strcmp(environment, "trust") == 0;
    if (trusted) {
        __atomic_store_n(&sys_filters, 0, __ATOMIC_RELAXED); /* installed before this constructor */
        return true;
    }
    for (const char *p = environment ? environment : ""; *p >= '0' && *p <= '9' && known < 1000; p++)
        known = known * 10 + (uint32_t)(*p - '0');
    return !sys_sealed() && inherited_filters() <= known;
}

/* What has to be asked of the sockets is asked now, and what we prepared is undone. */
static void ask_and_undo(void) {
    struct conn *conn;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        if (fd_look(fd, &conn) != FD_TCP)
            continue;
        if (conn->phase == CONN_CONNECTED || conn->phase == CONN_CONNECTING)
            located_complete(conn, fd);
        else if (conn->phase == CONN_IDLE && conn_flags(conn) & CONN_APP_ADDRESS)
            prepare_settle_port(fd, conn);
        else if (conn->phase == CONN_IDLE)
            prepare_undo(fd, conn);
    }
}

void seal_begin(void) {
    int saved = errno;
    if (client_asks(&client) && !trusted && process_may_record(&client))
        ask_and_undo();
    if (!trusted)
        __atomic_fetch_add(&sys_filters, 1, __ATOMIC_SEQ_CST);
    errno = saved;
}

/* A failed attempt takes its own one back, whatever other threads have done meanwhile. */
void seal_end(bool installed) {
    if (!installed && !trusted)
        __atomic_fetch_sub(&sys_filters, 1, __ATOMIC_SEQ_CST);
}

bool seal_is(long number, const long argument[2]) {
    if (number == SYS_prctl)
        return argument[0] == PR_SET_SECCOMP;
    return number == SYS_seccomp && (argument[0] == SECCOMP_SET_MODE_STRICT || argument[0] == SECCOMP_SET_MODE_FILTER);
}
