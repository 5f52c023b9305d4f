/* open_table.h - this process's open connections, written where they survive it.
 *
 * Connection number i of this process lies in slot i % 63 of the process's i / 63-th chunk, so taking and leaving a
 * slot is a few stores: no search, no list. Chunks are taken by compare-and-swap; when none is free, the file grows
 * (state/segment.h). Nothing is ever read back from them, so what others scribble there cannot harm. Async-signal-safe,
 * lock-free. */
#ifndef CONNSPREAD_CLIENT_OPEN_TABLE_H
#define CONNSPREAD_CLIENT_OPEN_TABLE_H

#include "client/fdtab.h"
#include "state/event.h"

struct client;

/* c is connected, or about to connect: a process can be killed inside connect(), and what the kernel had made by then
 * is named all the same. No room: counted, and the connection goes unnamed. */
void open_table_opened(struct client *client, const struct conn *c);

/* c's addresses and ports are known now: before its close, so that the tool never takes the TIME-WAIT of a process that
 * is just about to tell of it for a dead one's. */
void open_table_located(const struct conn *c);

/* c is one more that is open in its pair, or one less. Both words are at hand before either is written, so that hardly
 * any process is killed between the two, and counted for ever. */
void open_table_count(const struct conn *c, uint64_t now);
void open_table_uncount(const struct conn *c, bool time_wait, uint64_t now);

/* c is closed. */
void open_table_closed(const struct conn *c);

/* An exec or exit (word) is about to close c (phase before, fate expected); and the exec came back. */
void open_table_pending(struct client *client, const struct conn *c, enum open_word word, enum tcp_state phase,
                        enum fate fate);
void open_table_exec_failed(const struct conn *c);

/* A fork child: the chunks are the parent's, and it has connections of its own from the start. */
void open_table_inherit(struct client *client);

/* The process ends in an orderly way: its chunks are free. */
void open_table_release(struct client *client);

typedef void open_table_marked(struct client *client, const struct open_entry *copy, const struct open_chunk *chunk);

/* Constructor: the chunks that an earlier image of this process left are given back. marked is called for each
 * connection that its exec closed. Returns whether others survived: those sockets are still there, in no pair. */
bool open_table_take_over(struct client *client, open_table_marked *marked);

/* Every connection in the table of descriptors, but a fork child's or next image's first 64, is written down. */
void open_table_write_all(struct client *client);

#endif
