/* sockets.h - what is known of each connection that the supervisor made, by its socket's cookie.
 *
 * While a call is served, a connection's record stands in the table of descriptors under the duplicate's number, where
 * connect/ looks for it; between calls it stands here, until the kernel says that the socket is gone. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SOCKETS_H
#define CONNSPREAD_TOOL_SUPERVISE_SOCKETS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"
#include "client/fdtab.h"
#include "net/tuple.h"
#include "tool/supervise/peer.h"

enum { SOCKET_BUCKETS = 1 << 14 };

struct known_socket {
    struct known_socket *next;
    uint64_t cookie;
    struct conn *conn; /* with a reference of its own */
    struct peer peer;  /* whose connect it was */
    uint64_t kept_ns;  /* CLOCK_MONOTONIC */
    uint64_t found;    /* watch.c: the last dump that had it, held by a process */
    struct tuple where;
    unsigned lent; /* calls that are being served with its record */
};

struct sockets {
    pthread_mutex_t lock;
    struct known_socket *bucket[SOCKET_BUCKETS];
    bool watched; /* the kernel tells us of ends; otherwise nothing is kept */
};

void sockets_init(struct sockets *s, bool watched);

/* Puts the record of that socket, if one is kept, under fd. True: one was. */
bool sockets_lend(struct sockets *s, struct client *client, uint64_t cookie, int fd);

/* fd's record leaves the table of descriptors: one that was lent, */
void sockets_return(struct sockets *s, uint64_t cookie, int fd);

/* or a new one, which is kept under cookie. */
void sockets_keep(struct sockets *s, uint64_t cookie, int fd, const struct peer *peer);

/* The record, which is the caller's now, or NULL. The caller frees it, and gives conn back. */
struct known_socket *sockets_take(struct sockets *s, uint64_t cookie);

/* The dump of that number has found it: there, and held by a process or not. */
void sockets_found(struct sockets *s, uint64_t cookie, uint64_t dump, const struct tuple *where, bool is_held);

/* Any one that the dump, begun at that time, did not find held, and no call is served with, or NULL: from is where to
 * begin, 0 at first. */
struct known_socket *sockets_take_lost(struct sockets *s, unsigned *from, uint64_t dump, uint64_t began_ns);

#endif
