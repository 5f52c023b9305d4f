/* mptcp.so: makes MPTCP of each TCP socket, as mptcpize's library does. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socket(int family, int type, int protocol) {
    int tcp = (family == AF_INET || family == AF_INET6) && (type & 0xf) == SOCK_STREAM && protocol != IPPROTO_SCTP;
    return (int)syscall(SYS_socket, family, type, tcp ? 262 /* IPPROTO_MPTCP */ : protocol);
}
