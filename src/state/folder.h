/* folder.h - the folder of the state files: opened and checked once, and everything in it reached from its descriptor.
 *
 * Async-signal-safe, raw system calls: the client's constructor uses it. */
#ifndef CONNSPREAD_STATE_FOLDER_H
#define CONNSPREAD_STATE_FOLDER_H

#include <stdbool.h>

#include <stdbool.h>

enum { STATE_PATH = 256 }; /* bytes of a state file's path, with its NUL */

/* Its lock: a file of mode 0600 in it, so that only its owner can hold the lock. It stays for ever. */
#define FOLDER_LOCK ".lock"

/* The folder of path into out, "." when path has none. Returns the file's name within it, or NULL: too long. */
const char *folder_of(char out[STATE_PATH], const char *path);

/* A descriptor of dir (O_PATH, close-on-exec), or -1 with *error = errno; EPERM when it belongs to neither the
 * effective uid nor root, or others may write to it. A symbolic link is refused. create: mkdir it first, mode 0700
 * whatever the umask is. */
int folder_open(const char *dir, bool create, int *error);

/* Takes the lock of an open folder, tried for at most 100 ms. A descriptor for folder_unlock, or -errno:
 * -EWOULDBLOCK when another process holds it. */
int folder_lock(int dir);

/* Lets go and closes. */
void folder_unlock(int lock);

#endif
