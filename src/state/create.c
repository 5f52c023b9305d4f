#include "state/create.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "state/state.h"
#include "base/sys.h"
#include "state/boot.h"
#include "state/folder.h"

/* Beyond `ulimit -f` the kernel would not only refuse: SIGXFSZ kills the client. */
static bool allowed(uint64_t size) {
    uint64_t limit[2]; /* struct rlimit64 */
    return sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, limit) != 0 || limit[0] >= size;
}

/* Space for every byte, so that no later store can fault. File systems without fallocate get zeros written. */
static int allocate(int fd, uint64_t size) {
    static const char zeros[4096];
    if (!allowed(size))
        return -EFBIG;
    int r = sys_fallocate(fd, size);
    if (r != -EOPNOTSUPP && r != -ENOSYS)
        return r;
    for (uint64_t done = 0; done < size;) {
        long n = sys_call3(SYS_write, fd, zeros, sizeof zeros);
        if (n <= 0)
            return n ? (int)n : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

/* Others need this file system, too, /run above all: a file grows by a quarter at most of what was free when it was
 * made. One without a bound (tmpfs, size=0) says that it has no blocks. Where it does not say, the file does not grow.
 */
static uint64_t room_for_segments(int fd) {
#ifdef SYS_fstatfs64
    struct statfs64 fs = {0};
    long r = sys_call3(SYS_fstatfs64, fd, sizeof fs, &fs);
#else
    struct statfs fs = {0};
    long r = sys_call2(SYS_fstatfs, fd, &fs);
#endif
    uint64_t most = (uint64_t)SEGMENTS * SEGMENT_BYTES;
    if (r != 0)
        return 0;
    if (fs.f_blocks == 0)
        return most;
    uint64_t quarter = (uint64_t)fs.f_bavail / 4, block = (uint64_t)fs.f_bsize;
    if (block == 0 || quarter >= most / block)
        return block == 0 ? 0 : most;
    return quarter * block / SEGMENT_BYTES * SEGMENT_BYTES;
}

/* A hole for the segments that the file may grow by. Without it, it does not grow. */
static void make_room(int fd, uint64_t size) {
    uint64_t whole = size + room_for_segments(fd);
    if (whole > size && allowed(whole) && (uint64_t)(long)whole == whole)
        (void)sys_call2(SYS_ftruncate, fd, whole);
}

static void temporary_name(char out[STATE_PATH]) {
    uint64_t r = clock_ns(CLOCK_REALTIME);
    (void)sys_call3(SYS_getrandom, &r, sizeof r, 0);
    memcpy(out, ".new-", 5);
    for (int i = 0; i < 16; i++)
        out[5 + i] = "0123456789abcdef"[(r >> (4 * i)) & 15];
    out[21] = 0;
}

static int build(int dir, const char *name, const char *instance, uint64_t log_size) {
    char temporary[STATE_PATH];
    struct state_header layout = {0};
    temporary_name(temporary);
    sections_plan(&layout, log_size);
    int fd = (int)sys_call4(SYS_openat, dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    int r = (int)sys_call2(SYS_fchmod, fd, 0600); /* whatever the umask is */
    if (r == 0)
        r = allocate(fd, layout.size);
    if (r == 0) {
        struct state_header *header = sys_mmap(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
        r = header ? 0 : -ENOMEM;
        if (header) {
            header_fill(header, instance, log_size);
            header->boot = boot_number();
            (void)sys_call2(SYS_munmap, header, 4096);
        }
    }
    if (r == 0)
        make_room(fd, layout.size);
    (void)sys_call1(SYS_close, fd);
    if (r == 0)
        r = (int)sys_call5(SYS_linkat, dir, temporary, dir, name, 0);
    (void)sys_call3(SYS_unlinkat, dir, temporary, 0);
    return r == -EEXIST ? 0 : r; /* another builder won: its file is as good */
}

enum state_error state_create(struct state *out, const char *path, const char *instance, uint64_t log_size,
                              int *error) {
    char dir_path[STATE_PATH];
    enum state_error result = state_map(out, path, error);
    const char *name = folder_of(dir_path, path);
    if (result != STATE_ABSENT)
        return result;
    if (!name) {
        *error = ENAMETOOLONG;
        return STATE_IO;
    }
    int dir = folder_open(dir_path, true, error);
    if (dir < 0)
        return *error == EPERM ? STATE_NOT_OURS : STATE_IO;
    int lock = folder_lock(dir), r = lock < 0 ? -EWOULDBLOCK : 0;
    result = state_map_at(out, dir, name, error); /* another builder may have been faster */
    if (result == STATE_ABSENT) {
        if (r == 0)
            r = build(dir, name, instance, log_size);
        *error = -r;
        result = r == 0 ? state_map_at(out, dir, name, error) : STATE_IO;
    }
    if (lock >= 0)
        folder_unlock(lock);
    (void)sys_call1(SYS_close, dir);
    return result;
}
