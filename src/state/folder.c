/* The folder of the state files. Its owner may put anything there at any moment, so nothing in it is named by a
 * path once it is open. */
#include "state/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/sys.h"
#include "base/text.h"

const char *folder_of(char out[STATE_PATH], const char *path) {
    size_t length = 0, name = 0, at = 0;
    for (; path[length]; length++)
        if (path[length] == '/')
            name = length + 1;
    if (length >= STATE_PATH)
        return NULL;
    if (name == 0)
        text_add(out, STATE_PATH, &at, ".");
    for (; at < name; at++)
        out[at] = path[at];
    out[at > 1 && name > 0 ? at - 1 : at] = 0;
    return path + name;
}

/* A umask of 0777 takes the owner's own rights away. We made it, and reach it by its descriptor: no one can put another
 * file under the change. Without /proc it stays as it is, and the next open says so. */
static void give_rights(int fd) {
    char path[32];
    size_t at = 0;
    text_add(path, sizeof path, &at, "/proc/self/fd/");
    text_add_number(path, sizeof path, &at, (unsigned)fd);
    (void)sys_call3(SYS_fchmodat, AT_FDCWD, path, 0700);
}

int folder_open(const char *dir, bool create, int *error) {
    sys_stat st;
    long make = create ? sys_call3(SYS_mkdirat, AT_FDCWD, dir, 0700) : -EEXIST;
    bool made = make == 0;
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0) { /* what is not there could not be made: why? */
        *error = fd == -ENOENT && make < 0 && make != -EEXIST ? (int)-make : -fd;
        return -1;
    }
    int r = sys_fstat(fd, &st);
    bool ours = r == 0 && (st.st_uid == sys_geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH));
    if (ours && made && (st.st_mode & S_IRWXU) != S_IRWXU && st.st_uid == sys_geteuid())
        give_rights(fd);
    if (ours)
        return fd;
    *error = r ? -r : EPERM;
    (void)sys_call1(SYS_close, fd);
    return -1;
}

/* A file that others may open could be held by them. */
static int open_lock(int dir) {
    sys_stat st;
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = (int)sys_call4(SYS_openat, dir, FOLDER_LOCK, flags, 0600);
    if (fd < 0)
        return fd;
    bool good = sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == sys_geteuid() || st.st_uid == 0);
    if (good && (st.st_mode & 07777) != 0600)
        good = sys_call2(SYS_fchmod, fd, 0600) == 0;
    if (good)
        return fd;
    (void)sys_call1(SYS_close, fd);
    return -EPERM;
}

int folder_lock(int dir) {
    int fd = open_lock(dir);
    for (int tries = 0; fd >= 0 && tries < 100; tries++) {
        if (sys_call2(SYS_flock, fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        sys_sleep_ms(1);
    }
    if (fd < 0)
        return fd;
    (void)sys_call1(SYS_close, fd);
    return -EWOULDBLOCK;
}

void folder_unlock(int lock) {
    /* Not by close alone: a child that another thread forked meanwhile has the descriptor too, and with it the lock. */
    (void)sys_call2(SYS_flock, lock, LOCK_UN);
    (void)sys_call1(SYS_close, lock);
}
