#include "tool/record/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/state_write.h"
#include "state/folder.h"

static const char magic[8] = "connfoll";
enum { LAYOUT = 1, WAIT_MS = 5000, POLL_US = 10000 };
#define LEAP ((uint64_t)JOURNAL_BITS * 4096)

/* SIGKILL may come between any two stores: they are made in program order. */
static void order(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint64_t *word_of(const struct journal *j, uint64_t seq) {
    return &j->file->bits[seq % JOURNAL_BITS / 64];
}

static void clear_bits(struct journal *j, uint64_t from, uint64_t to) {
    if (to - from >= JOURNAL_BITS) {
        memset(j->file->bits, 0, sizeof j->file->bits);
        return;
    }
    while (from < to) {
        if (from % 64 == 0 && to - from >= 64) {
            *word_of(j, from) = 0;
            from += 64;
        } else {
            *word_of(j, from) &= ~(UINT64_C(1) << from % 64);
            from++;
        }
    }
}

/* A user who may write there decides what is left out of the log: ours or root's, and under no other name. */
static bool trusted(const struct stat *s) {
    return S_ISREG(s->st_mode) && s->st_nlink == 1 && !(s->st_mode & (S_IWGRP | S_IWOTH)) &&
           (s->st_uid == geteuid() || s->st_uid == 0);
}

/* In its folder, which is checked as that of the state file. Mode 0600 whatever the umask is. */
static int open_in_folder(const char *path) {
    char folder[STATE_PATH];
    const char *name = folder_of(folder, path);
    int dir = name ? folder_open(folder, false, &errno) : -1;
    if (dir < 0)
        return -1;
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    int saved = errno;
    (void)close(dir);
    errno = saved;
    return fd;
}

static int open_file(const char *path) {
    struct stat s;
    int fd = open_in_folder(path);
    if (fd < 0)
        return -1;
    if (fstat(fd, &s) != 0 || !trusted(&s)) {
        errno = EPERM;
    } else if ((s.st_mode & 07777) == 0600 || fchmod(fd, 0600) == 0) {
        /* Space first: a store into a hole of a full disk would be SIGBUS. */
        int error = posix_fallocate(fd, 0, sizeof(struct journal_file));
        if (error == 0)
            return fd;
        errno = error;
    }
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static bool map(struct journal *j, const char *path) {
    *j = (struct journal){.fd = open_file(path)};
    if (j->fd < 0)
        return false;
    void *mapping = mmap(NULL, sizeof *j->file, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
    if (mapping == MAP_FAILED) {
        int saved = errno;
        (void)close(j->fd);
        errno = saved;
        return false;
    }
    j->file = mapping;
    mapped_beside(path);
    return true;
}

static bool lock(const struct journal *j) {
    return flock(j->fd, LOCK_EX | LOCK_NB) == 0;
}

void journal_close(struct journal *j) {
    if (j->file)
        (void)munmap(j->file, sizeof *j->file);
    mapped_beside(NULL);
    if (j->fd >= 0)
        (void)close(j->fd); /* and with it the lock */
    *j = (struct journal){.fd = -1};
}

/* What the last holder of the lock left unfinished is put right. */
static void take_over(struct journal *j) {
    struct journal_file *f = j->file;
    if (memcmp(f->magic, magic, sizeof magic) != 0 || f->layout != LAYOUT) {
        memset(f, 0, sizeof *f);
        f->layout = LAYOUT;
        memcpy(f->magic, magic, sizeof magic);
    }
    __atomic_store_n(&f->ending, 0, __ATOMIC_SEQ_CST);
    clear_bits(j, f->frontier + JOURNAL_WINDOW, f->frontier + JOURNAL_BITS);
}

/* Wanting first and looking for the lock then, against ending first and looking for wants then: one of the two sees the
 * other. */
static bool lock_or_leave(struct journal *j) {
    __atomic_fetch_add(&j->file->wanted, 1, __ATOMIC_SEQ_CST);
    for (unsigned waited = 0; waited < WAIT_MS; waited += POLL_US / 1000) {
        if (lock(j))
            return true;
        if (!__atomic_load_n(&j->file->ending, __ATOMIC_SEQ_CST))
            return false;
        usleep(POLL_US);
    }
    return false;
}

enum journal_result journal_open(struct journal *j, const char *path) {
    if (!map(j, path)) {
        *j = (struct journal){.fd = -1};
        return JOURNAL_FAILED;
    }
    if (lock_or_leave(j)) {
        take_over(j);
        return JOURNAL_OURS;
    }
    journal_close(j);
    return JOURNAL_TAKEN;
}

bool journal_needs_recorder(const char *path) {
    struct journal j;
    if (!map(&j, path))
        return true; /* the recorder will find out the same, and say it */
    bool needed = lock_or_leave(&j);
    journal_close(&j);
    return needed;
}

bool journal_may_end(struct journal *j, uint64_t *wanted) {
    uint64_t before = *wanted;
    __atomic_store_n(&j->file->ending, 1, __ATOMIC_SEQ_CST);
    *wanted = __atomic_load_n(&j->file->wanted, __ATOMIC_SEQ_CST);
    if (*wanted == before)
        return true;
    __atomic_store_n(&j->file->ending, 0, __ATOMIC_SEQ_CST);
    return false;
}

void journal_begin(struct journal *j, uint64_t epoch) {
    if (j->file->epoch == epoch)
        return;
    j->file->epoch = 0;
    order();
    memset(j->file->bits, 0, sizeof j->file->bits);
    j->file->frontier = 0;
    order();
    j->file->epoch = epoch;
}

bool journal_in_window(const struct journal *j, uint64_t seq) {
    return seq < j->file->frontier || seq - j->file->frontier < JOURNAL_WINDOW;
}

bool journal_has(const struct journal *j, uint64_t seq) {
    if (seq < j->file->frontier)
        return true;
    return journal_in_window(j, seq) && *word_of(j, seq) >> seq % 64 & 1;
}

void journal_mark(struct journal *j, uint64_t seq) {
    if (seq >= j->file->frontier && journal_in_window(j, seq))
        *word_of(j, seq) |= UINT64_C(1) << seq % 64;
}

uint64_t journal_missing(const struct journal *j, uint64_t limit, uint64_t *first, uint64_t *last) {
    uint64_t missing = 0, frontier = j->file->frontier;
    *first = *last = 0;
    for (uint64_t seq = frontier; seq < limit; seq++) {
        if (!journal_in_window(j, seq)) { /* no bit beyond it was ever set */
            *first = missing ? *first : seq;
            *last = limit - 1;
            return missing + (limit - seq);
        }
        if (seq % 64 == 0 && limit - seq >= 64 && *word_of(j, seq) == UINT64_MAX) {
            seq += 63;
        } else if (!(*word_of(j, seq) >> seq % 64 & 1)) {
            *first = missing++ ? *first : seq;
            *last = seq;
        }
    }
    return missing;
}

void journal_written(struct journal *j, uint64_t until_us) {
    __atomic_store_n(&j->file->written_us, until_us, __ATOMIC_RELAXED);
}

void journal_lose(struct journal *j, uint64_t events) {
    __atomic_store_n(&j->file->lost, j->file->lost + events, __ATOMIC_RELAXED);
}

/* The frontier moves first: a bit that is left behind it then is one of those that take_over clears. */
void journal_settle(struct journal *j, uint64_t limit) {
    uint64_t frontier = j->file->frontier;
    if (limit <= frontier)
        return;
    /* A leap that no sequence of events makes: nothing that has a bit is left above limit. */
    if (limit - frontier > LEAP) {
        memset(j->file->bits, 0, sizeof j->file->bits);
        order();
        j->file->frontier = limit;
        return;
    }
    /* In steps, so that what lies behind the frontier never reaches into the window before it is cleared. */
    while (frontier < limit) {
        uint64_t step = limit - frontier;
        step = step > JOURNAL_BITS - JOURNAL_WINDOW ? JOURNAL_BITS - JOURNAL_WINDOW : step;
        j->file->frontier = frontier + step;
        order();
        clear_bits(j, frontier, frontier + step);
        order();
        frontier += step;
    }
}

void journal_advance(struct journal *j) {
    uint64_t seq = j->file->frontier;
    uint64_t end = seq + JOURNAL_WINDOW;
    while (seq < end) {
        if (seq % 64 == 0 && *word_of(j, seq) == UINT64_MAX)
            seq += 64;
        else if (*word_of(j, seq) >> seq % 64 & 1)
            seq++;
        else
            break;
    }
    journal_settle(j, seq < end ? seq : end);
}
