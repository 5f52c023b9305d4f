/* folder.h - the folder of the state files: opened, checked, and locked by whoever builds a file or publishes a policy.
 */
#ifndef CONNSPREAD_STATE_FOLDER_H
#define CONNSPREAD_STATE_FOLDER_H

#include <stdbool.h>

/* A descriptor of dir (close-on-exec), or -1 with *error = errno; EPERM when it belongs to neither the effective uid
 * nor root or others may write to it. create: mkdir it first, mode 0700. Async-signal-safe. */
int folder_open(const char *dir, bool create, int *error);

/* flock, tried for at most 100 ms. */
bool folder_lock(int fd);

/* Lets go and closes. */
void folder_unlock(int fd);

#endif
