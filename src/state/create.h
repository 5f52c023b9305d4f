/* create.h - Building a state file so that nobody ever maps half of one, and no full disk turns into SIGBUS in a
 * client. */
#ifndef CONNSPREAD_STATE_CREATE_H
#define CONNSPREAD_STATE_CREATE_H

#include "state/state.h"

/* A descriptor of dir (close-on-exec), or -1 with *error = errno; EPERM when it belongs to neither the effective uid
 * nor root or others may write to it. create: mkdir it first, mode 0700. Async-signal-safe. */
int folder_open(const char *dir, bool create, int *error);

/* flock, tried for at most 100 ms. */
bool folder_lock(int fd);

/* Lets go and closes. */
void folder_unlock(int fd);

/* Maps path, or creates it (mode 0600; its folder 0700 if that is missing too) with rings of log_size bytes. Built
 * under a temporary name with its space allocated, published by link(2). */
enum state_error state_create(struct state *out, const char *path, const char *instance, uint64_t log_size, int *error);

#endif
