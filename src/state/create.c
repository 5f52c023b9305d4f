#include "state/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "state/state.h"
#include "base/sys.h"
#include "state/boot.h"
#include "state/folder.h"
#include "state/segment.h"

/* Beyond `ulimit -f` the kernel would not only refuse: SIGXFSZ kills the client. */
static bool allowed(uint64_t size) {
    uint64_t limit[2]; /* struct rlimit64 */
    return sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, limit) != 0 || limit[0] >= size;
}

/* Space for every byte from the file's end up to size, so that no later store can fault. File systems without fallocate
 * get zeros written. */
static int allocate(int fd, uint64_t end, uint64_t size) {
    static const char zeros[4096];
    int r = sys_fallocate(fd, size);
    if (r != -EOPNOTSUPP && r != -ENOSYS)
        return r;
    for (uint64_t done = end; done < size;) {
        long n = sys_call3(SYS_write, fd, zeros, sizeof zeros);
        if (n <= 0)
            return n ? (int)n : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

/* Others need this file system, too, /run above all: if the config does not say more, a file has segments of a quarter
 * at most of what was free when it was made, and will be once its first part is used. A file system without a bound
 * (tmpfs, size=0) says that it has no blocks. Where it does not say, the file has none. */
static uint64_t quarter_of_free(int fd, uint64_t needed) {
#ifdef SYS_fstatfs64
    struct statfs64 fs = {0};
    long r = sys_call3(SYS_fstatfs64, fd, sizeof fs, &fs);
#else
    struct statfs fs = {0};
    long r = sys_call2(SYS_fstatfs, fd, &fs);
#endif
    uint64_t block = (uint64_t)fs.f_bsize, avail = (uint64_t)fs.f_bavail;
    if (r != 0 || block == 0)
        return 0;
    if (fs.f_blocks == 0 || avail > UINT64_MAX / block)
        return UINT64_MAX;
    return avail * block > needed ? (avail * block - needed) / 4 : 0;
}

/* A hole for the segments that the file may have. had: up to there it has space; of what had to have all of its space
 * at once, no segment could be allocated either. */
static void make_room(int fd, uint64_t had, struct state_sizes sizes) {
    struct state_header layout = {0};
    sections_plan(&layout, sizes.log);
    if (had >= layout.size)
        return;
    uint64_t most = (uint64_t)SEGMENTS * SEGMENT_BYTES, size = layout.size, room = quarter_of_free(fd, size - had);
    if (sizes.max != 0)
        room = sizes.max > size ? sizes.max - size : 0;
    uint64_t whole = size + (room < most ? room / SEGMENT_BYTES * SEGMENT_BYTES : most);
    if (whole > size && allowed(whole) && (uint64_t)(long)whole == whole)
        (void)sys_call2(SYS_ftruncate, fd, whole);
}

/* What is always needed: all up to the owners in the open table. Whole blocks. */
static uint64_t beginning(const struct state_header *layout) {
    uint64_t end = layout->section[SECTION_OPEN_TABLE].offset + offsetof(struct open_table, chunk);
    return (end + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* How much of the file there is; 0: not known. Delayed allocations are in it (ext4, xfs, btrfs). */
static uint64_t space_of(int fd) {
    sys_stat st;
    return sys_fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks : 0;
}

/* And the first block of each ring, to see that it can be done. Where it cannot, as before Linux 5.14, or is only said
 * to be done (qemu-user 7.2 answers 0 to every madvise), there is space for the whole of this part at once. *had: up to
 * where there is some. */
static int first_blocks(int fd, struct state_header *header, uint64_t *had) {
    uint64_t before = space_of(fd);
    blocks_are_there(header, (unsigned)(*had / BLOCK_BYTES));
    int r = block_allocate(header, (unsigned)(header->section[SECTION_INCIDENTS].offset / BLOCK_BYTES));
    if (r == 0)
        r = block_allocate(header, (unsigned)(header->section[SECTION_CLOSES].offset / BLOCK_BYTES));
    if (r == 0 && space_of(fd) > before)
        return 0;
    r = allocate(fd, *had, header->size);
    if (r != 0)
        return r;
    blocks_are_there(header, (unsigned)(header->size / BLOCK_BYTES));
    *had = header->size;
    return 0;
}

static int fill(int fd, const char *instance, uint64_t log_size, uint64_t *had) {
    struct state_header layout = {0};
    sections_plan(&layout, log_size);
    *had = beginning(&layout);
    if (!allowed(layout.size))
        return -EFBIG;
    int r = allocate(fd, 0, *had);
    if (r == 0)
        r = (int)sys_call2(SYS_ftruncate, fd, (long)layout.size);
    struct state_header *header = r == 0 ? sys_mmap((size_t)layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd) : NULL;
    if (r != 0 || !header)
        return r ? r : -ENOMEM;
    header_fill(header, instance, log_size);
    header->boot = boot_number();
    r = first_blocks(fd, header, had);
    (void)sys_call2(SYS_munmap, header, (size_t)layout.size);
    return r;
}

static void temporary_name(char out[STATE_PATH]) {
    uint64_t r = clock_ns(CLOCK_REALTIME);
    (void)sys_call3(SYS_getrandom, &r, sizeof r, 0);
    memcpy(out, ".new-", 5);
    for (int i = 0; i < 16; i++)
        out[5 + i] = "0123456789abcdef"[(r >> (4 * i)) & 15];
    out[21] = 0;
}

static int build(int dir, const char *name, const char *instance, struct state_sizes sizes) {
    char temporary[STATE_PATH];
    uint64_t had = 0;
    temporary_name(temporary);
    int fd = (int)sys_call4(SYS_openat, dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    int r = (int)sys_call2(SYS_fchmod, fd, 0600); /* whatever the umask is */
    if (r == 0)
        r = fill(fd, instance, sizes.log, &had);
    if (r == 0)
        make_room(fd, had, sizes);
    (void)sys_call1(SYS_close, fd);
    if (r == 0)
        r = (int)sys_call5(SYS_linkat, dir, temporary, dir, name, 0);
    (void)sys_call3(SYS_unlinkat, dir, temporary, 0);
    return r == -EEXIST ? 0 : r; /* another builder won: its file is as good */
}

enum state_error state_create(struct state *out, const char *path, const char *instance, struct state_sizes sizes,
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
    int lock = folder_lock(dir), r = lock < 0 ? lock : 0;
    result = state_map_at(out, dir, name, error); /* another builder may have been faster */
    if (result == STATE_ABSENT) {
        if (r == 0)
            r = build(dir, name, instance, sizes);
        *error = -r;
        result = r == 0 ? state_map_at(out, dir, name, error) : STATE_IO;
    }
    if (lock >= 0)
        folder_unlock(lock);
    (void)sys_call1(SYS_close, dir);
    return result;
}
