/* fastopen.h - a send that connects (sendto, sendmsg, sendmmsg with MSG_FASTOPEN), copied from the client.
 *
 * It is made on the duplicate without waiting, whatever the client's is: then EADDRNOTAVAIL, which comes before
 * anything is sent, can be tried again. What does not fit here, or is sent with more than data, is the kernel's. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_FASTOPEN_H
#define CONNSPREAD_TOOL_SUPERVISE_FASTOPEN_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { FASTOPEN_DATA = 16 << 10 };

struct fastopen {
    int fd, flags;
    uint64_t name; /* the address to connect to, in the client's memory */
    uint32_t name_length;
    uint64_t messages; /* sendmmsg: where in the client's memory they are; else 0 */
    unsigned count;    /* of them */
    size_t size;
    unsigned char data[FASTOPEN_DATA];
};

/* False: it is none, or one for the kernel. */
bool fastopen_read(const struct seccomp_notif *call, struct fastopen *out);

/* Sends to address, or, with address NULL, what is left after the first sent bytes. As send with MSG_DONTWAIT. */
ssize_t fastopen_send(const struct fastopen *f, int fd, const struct sockaddr *address, socklen_t length, size_t sent);

/* What the client's call returns for so many bytes: sendmmsg's are told in its memory. */
ssize_t fastopen_result(const struct fastopen *f, uint32_t tid, ssize_t sent);

/* The same where the call does not wait: of sendmmsg's further messages, the kernel sends those for which the connect
 * was answered in time. It ends at one that does not fit here: fewer than the client asked for, which it must expect.
 * Overwrites what f holds. */
ssize_t fastopen_result_of_all(struct fastopen *f, uint32_t tid, int fd, ssize_t sent);

#endif
