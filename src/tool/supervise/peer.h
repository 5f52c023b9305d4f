/* peer.h - the thread behind a notification: its process, its memory, its descriptors.
 *
 * Thread ids are used again; what is remembered of one is a pidfd of that very thread (PIDFD_THREAD, Linux 6.9), which
 * a later one of the same number does not answer to. On older kernels only processes' first threads are remembered. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_PEER_H
#define CONNSPREAD_TOOL_SUPERVISE_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/program.h"

enum { PEERS = 256 };

struct peer {
    uint32_t tid, pid, user;
    char program[POLICY_PROGRAM];
    char names[PROGRAM_NAMES_TEXT];
};

struct peer_slot {
    pthread_mutex_t lock;
    struct peer peer; /* tid 0: empty */
    int pidfd;
    bool lasts;       /* pidfd is that very thread's: it may be kept */
    uint64_t read_ns; /* CLOCK_MONOTONIC: when its program was asked for */
};

/* Remembered threads, each with a descriptor. */
struct peers {
    struct peer_slot slot[PEERS];
};

void peers_init(struct peers *p);

/* Closes what is remembered. */
void peers_forget(struct peers *p);

/* A duplicate of its descriptor fd, close-on-exec, and which process it is. Or -errno: EPERM where the kernel does not
 * let us, EBADF, ESRCH. The caller then makes sure that the notification is still valid. */
int peer_descriptor(struct peers *p, uint32_t tid, int fd, struct peer *out);

/* Copies from its memory. False: unreadable, even in part. */
bool peer_read(uint32_t tid, uint64_t from, void *to, size_t size);

/* The other way. */
bool peer_write(uint32_t tid, uint64_t to, const void *from, size_t size);

/* Its /proc/PID/status, cut at size. */
bool peer_status(uint32_t tid, char *out, size_t size);

/* May this process take descriptors of that child? 0 or -errno. */
int peer_may(int pid, int fd);

#endif
