#include "client/sockinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "net/diag.h"
#include "base/kernel_constants.h"
#include "base/sys.h"

#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif
#ifndef FIONREAD
#define FIONREAD 0x541b
#endif

/* Emulators (qemu-user, gVisor) may answer with less than was asked for, or with nothing: that is no answer. */
static int ask(int fd, int level, int option, void *value, socklen_t size) {
    socklen_t length = size;
    int r = (int)sys_call5(SYS_getsockopt, fd, level, option, value, &length);
    return r == 0 && length < size ? -EPROTO : r;
}

int get_option(int fd, int level, int option, int *value) {
    return ask(fd, level, option, value, sizeof *value);
}

int set_option(int fd, int level, int option, int value) {
    return (int)sys_call5(SYS_setsockopt, fd, level, option, &value, sizeof value);
}

__attribute__((noinline)) int sockinfo_state(int fd, enum tcp_state *phase, uint32_t *segments_out) {
    struct tcp_info info;
    /* Up to the last member that is read: the kernel copies no more. The one byte of state alone where that is all. */
    socklen_t length = segments_out ? offsetof(struct tcp_info, tcpi_segs_out) + sizeof info.tcpi_segs_out : 1;
    info.tcpi_state = 0;
    info.tcpi_segs_out = 0;
    int r = ask(fd, IPPROTO_TCP, TCP_INFO, &info, length);
    if (r != 0)
        return r;
    if (info.tcpi_state == 0) /* no socket has it: nothing was written */
        return -EPROTO;
    *phase = tcp_state_from_kernel(info.tcpi_state);
    if (segments_out)
        *segments_out = info.tcpi_segs_out;
    return 0;
}

bool sockinfo_made_no_syn(int fd) {
    struct tcp_info info = {0};
    socklen_t length = offsetof(struct tcp_info, tcpi_advmss) + sizeof info.tcpi_advmss;
    return ask(fd, IPPROTO_TCP, TCP_INFO, &info, length) == 0 && info.tcpi_snd_mss != 0 && info.tcpi_advmss == 0;
}

bool sockinfo_pending_error(int fd, uint16_t fetched, bool may_fetch, int *error) {
    *error = fetched;
    return fetched || (may_fetch && get_option(fd, SOL_SOCKET, SO_ERROR, error) == 0 && *error != 0);
}

bool sockinfo_connect_error(int fd, uint16_t fetched, bool may_fetch, int *error) {
    struct tcp_info info = {0};
    socklen_t length = offsetof(struct tcp_info, tcpi_segs_in) + sizeof info.tcpi_segs_in;
    *error = 0;
    if (ask(fd, IPPROTO_TCP, TCP_INFO, &info, length) != 0 || info.tcpi_bytes_acked != 0)
        return false; /* our SYN was acknowledged */
    if (sockinfo_pending_error(fd, fetched, may_fetch, error))
        return true;
    if (info.tcpi_segs_out != 0) /* 0: disconnected since */
        *error = info.tcpi_segs_in != 0 ? ECONNREFUSED : ETIMEDOUT;
    return false;
}

void sockinfo_peek(int fd, enum tcp_state *phase, bool *unread) {
    char byte;
    long n = sys_call6(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0);
    *unread = n > 0;
    if (n > 0 || n == -EAGAIN)
        *phase = TCP_STATE_ESTABLISHED;
    else if (n == 0)
        *phase = TCP_STATE_CLOSE_WAIT;
    else if (sockinfo_state(fd, phase, NULL) != 0)
        *phase = TCP_STATE_UNKNOWN;
}

bool sockinfo_unread(int fd) {
    int n = 0;
    return sys_call3(SYS_ioctl, fd, FIONREAD, &n) == 0 && n > 0;
}

static bool look_name(long call, int fd, struct endpoint *out) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    return sys_call3(call, fd, &name, &length) == 0 && endpoint_from_sockaddr(out, &name, length);
}

bool sockinfo_local(int fd, struct endpoint *out) {
    return look_name(SYS_getsockname, fd, out);
}

__attribute__((noinline)) bool sockinfo_peer(int fd, struct endpoint *out) {
    return look_name(SYS_getpeername, fd, out);
}

bool sockinfo_late_peer(int fd, int family, struct endpoint *out) {
    struct sockaddr_in6 name;
    /* More than the name has is EINVAL. */
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof name;
    return sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERNAME, &name, &length) == 0 &&
           endpoint_from_sockaddr(out, &name, length) && out->port != 0;
}

bool sockinfo_mptcp_token(int fd, uint32_t *token) {
    enum { MPTCP_INFO_OPTION = 1, TOKEN = 3 }; /* linux/mptcp.h: struct mptcp_info begins with 8 bytes, flags, token */
    uint32_t info[TOKEN + 1] = {0};
    socklen_t length = sizeof info;
    long r = sys_call5(SYS_getsockopt, fd, SOL_MPTCP, MPTCP_INFO_OPTION, info, &length);
    if (r == 0 ? length < sizeof info : r != -EOPNOTSUPP && r != -ENOPROTOOPT)
        return false;
    *token = info[TOKEN];
    return true;
}

bool sockinfo_mptcp_phase(uint32_t token, enum tcp_state *phase) {
    struct diag_answer answer;
    if (diag_lookup_mptcp(token, &answer) != 0)
        return false;
    *phase = tcp_state_from_kernel(answer.state);
    return true;
}

uint64_t sockinfo_cookie(int fd) {
    uint64_t cookie = 0;
    return ask(fd, SOL_SOCKET, SO_COOKIE, &cookie, sizeof cookie) == 0 ? cookie : 0;
}

bool sockinfo_is_tcp(int fd, int *family, bool *mptcp) {
    int protocol;
    if (get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) != 0)
        return false;
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
        return false;
    *mptcp = protocol == IPPROTO_MPTCP;
    return get_option(fd, SOL_SOCKET, SO_DOMAIN, family) == 0 && (*family == AF_INET || *family == AF_INET6);
}

bool sockinfo_linger2_off(int fd) {
    int linger2 = 0;
    return get_option(fd, IPPROTO_TCP, TCP_LINGER2, &linger2) == 0 && linger2 < 0;
}

uint32_t sockinfo_interface(int fd) {
    int index = 0;
    return get_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index) == 0 ? (uint32_t)index : 0;
}

bool sockinfo_blocking(int fd) {
    long flags = sys_call2(SYS_fcntl, fd, F_GETFL);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

#define SECOND ((uint64_t)1000000000)

bool sockinfo_send_limit(int fd, uint64_t *out) {
    struct timeval limit = {0};
    socklen_t length = sizeof limit;
    if (sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length) != 0)
        return false;
    *out = (uint64_t)limit.tv_sec * SECOND + (uint64_t)limit.tv_usec * 1000u;
    return true;
}

void sockinfo_set_send_limit(int fd, uint64_t ns) {
    struct timeval limit = {.tv_sec = (time_t)(ns / SECOND), .tv_usec = (suseconds_t)(ns % SECOND / 1000)};
    (void)sys_call5(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}
