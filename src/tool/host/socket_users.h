/* socket_users.h - which processes have the sockets of a source open, as far as /proc/PID/fd shows: to root those of
 * all, to others their own. A TIME-WAIT has no process any more: whose it was, the kernel does not know. */
#ifndef CONNSPREAD_TOOL_HOST_SOCKET_USERS_H
#define CONNSPREAD_TOOL_HOST_SOCKET_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

enum { SOCKET_USERS = 16, SOCKET_USER_NAME = 32, SOCKET_USERS_TEXT = 512, SOCKET_USERS_PAIRS = 64 };

struct socket_user {
    uint32_t pid; /* 0: a process of this user, which cannot be looked into */
    uint32_t uid;
    char name[SOCKET_USER_NAME];
    uint32_t sockets;
};

struct socket_users {
    /* Asked. */
    struct addr source, destination;
    uint16_t port; /* of the destination */
    bool any;      /* whatever the destination is */
    bool inbound;  /* accepted ones: source is the client, destination and port are this host's */
    /* Found, those with most sockets first. */
    struct socket_user user[SOCKET_USERS];
    unsigned n;
    uint32_t more;    /* sockets of further processes */
    uint32_t unowned; /* TIME-WAITs, and what else no process has open */
};

/* Fills all of them (at most SOCKET_USERS_PAIRS) at once. 0, or -errno. */
int socket_users_find(struct socket_users *all, size_t n);

/* "python3 (pid 12): 40 open; a process of user 33: 2 open; owner unknowable: 28, in TIME-WAIT or closing". */
void socket_users_text(const struct socket_users *u, char out[SOCKET_USERS_TEXT]);

/* Calls found for each socket that a process has open into which we may look. */
typedef void socket_found(void *context, uint32_t inode, uint32_t pid, const char *name);
void socket_walk(socket_found *found, void *context);

#endif
