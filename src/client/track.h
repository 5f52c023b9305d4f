/* track.h - connections that come into the table: made here, accepted, or found. Async-signal-safe. */
#ifndef CONNSPREAD_CLIENT_TRACK_H
#define CONNSPREAD_CLIENT_TRACK_H

#include "client/fdtab.h"

struct client;

/* A record for a new TCP socket of this process. generation: as of before the call that made it; a fork since then has
 * it too. NULL: no memory (counted). */
struct conn *conn_made(struct client *client, int family, bool mptcp, uint32_t generation);

/* A record, in no table yet, for a TCP socket that was never seen: inherited, received, or made behind our back. Asks
 * the kernel for everything. NULL: fd is no TCP socket, or no memory. */
struct conn *track_adopt(struct client *client, int fd);

/* What is known of fd, asking the kernel once if nothing is: the connection, or NULL when it is no TCP socket. */
struct conn *conn_of(struct client *client, int fd);

/* The same, held until conn_release: another thread's close leaves the record as it is. */
struct conn *conn_hold(struct client *client, int fd);

/* The end of conn_hold or conn_take. Was it the last reference, then another thread closed the connection meanwhile and
 * left the record to the caller: it is freed, and a close that ought to have been recorded is counted as unseen. */
void conn_release(struct client *client, struct conn *c);

/* c was not connected by any call that we saw: was it all the same (syscall(SYS_connect), a library that finds libc by
 * itself), or, where others may hold it (shared), by one of them? Asks the kernel once if it was not. */
void conn_catch_up(struct client *client, struct conn *c, int fd, bool shared);

/* c is closed, or was never connected after all: if its pair counts it as open (CONN_COUNTED, which the caller clears
 * if the record lives on), no longer. A fork child's copy is not counted: the parent's is. now: CLOCK_MONOTONIC, ns. */
void conn_uncount(const struct conn *c, bool time_wait, uint64_t now);

/* Puts a record into the table, counting a predecessor whose close was not seen. Consumes the caller's reference. */
void conn_install(struct client *client, int fd, struct conn *conn);

/* Sockets in [first, last] that were inherited or received and never named in a call: into the table. One poll tells
 * which descriptors are open, so it goes no further than the lowest 256. */
void track_find(struct client *client, int first, int last);

#endif
