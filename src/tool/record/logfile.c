#include "tool/record/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "base/sys.h"
#include "tool/common/rights.h"

static const uint64_t retry_after_ns = 200000000;

int logfile_open(const char *path) {
    struct stat s;
    /* O_NONBLOCK: a FIFO without a reader must not hold us; it is refused. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd < 0)
        return -1;
    int error = fstat(fd, &s) != 0                       ? errno
                : !S_ISREG(s.st_mode)                    ? EINVAL
                : s.st_nlink != 1                        ? EMLINK
                : s.st_uid != geteuid() && s.st_uid != 0 ? EPERM
                                                         : 0;
    if (error == 0 && (s.st_mode & 0600) != 0600 && s.st_uid == geteuid())
        (void)fchmod(fd, (s.st_mode & 07777) | 0600); /* a umask that takes our own rights away */
    if (error == 0)
        return fd;
    (void)close(fd);
    errno = error;
    return -1;
}

const char *logfile_error_text(int error) {
    switch (error) {
    case EINVAL:
    case ENXIO: /* a FIFO without a reader */
        return "is no regular file";
    case EMLINK:
        return "has a second name (a hard link), and what is written here would be written there";
    case EPERM:
        return "belongs to another user, or may not be written to";
    default:
        return strerror(error);
    }
}

void logfile_init(struct logfile *l, const char *path, struct journal *journal) {
    memset(l, 0, offsetof(struct logfile, line));
    size_t n = strnlen(path, sizeof l->path - 1);
    memcpy(l->path, path, n);
    l->fd = -1;
    l->journal = journal;
}

static void close_file(struct logfile *l) {
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
}

void logfile_end(struct logfile *l) {
    close_file(l);
}

bool logfile_room(const struct logfile *l, size_t length) {
    return l->lines < LOGFILE_LINES && length + 1 <= sizeof l->buffer - l->used;
}

void logfile_add(struct logfile *l, uint64_t seq, const char *text, size_t length) {
    memcpy(l->buffer + l->used, text, length);
    l->buffer[l->used + length] = '\n';
    l->used += length + 1;
    l->line[l->lines].seq = seq;
    l->line[l->lines++].end = l->used;
}

/* Said once, until it works again. */
static bool fail(struct logfile *l, int error) {
    if (l->error == 0)
        warn("%s: %s; trying again until it works", l->path, logfile_error_text(error));
    l->error = error;
    l->retry_ns = clock_ns(CLOCK_MONOTONIC) + retry_after_ns;
    return false;
}

static void note_size(const struct logfile *l, uint64_t size) {
    struct journal_file *f = l->journal->file;
    f->device = l->device;
    f->inode = l->inode;
    f->size = size;
}

/* Is what we have open still what has this name? Asked before every write: a file that was renamed is soon compressed.
 */
static bool is_current(const struct logfile *l) {
    struct stat s;
    return l->fd >= 0 && lstat(l->path, &s) == 0 && s.st_ino == l->inode && s.st_dev == l->device;
}

static bool ready(struct logfile *l) {
    struct stat s;
    if (is_current(l))
        return true;
    close_file(l);
    l->fd = logfile_open(l->path);
    if (l->fd < 0 || fstat(l->fd, &s) != 0)
        return false;
    l->device = s.st_dev;
    l->inode = s.st_ino;
    note_size(l, (uint64_t)s.st_size);
    return true;
}

/* The first bytes of the buffer are in the file; half a line at their end is taken out again. Returns how many lines
 * are. */
static unsigned settle(struct logfile *l, size_t written) {
    struct stat s = {0};
    unsigned lines = 0;
    size_t whole = 0;
    for (; lines < l->lines && l->line[lines].end <= written; lines++)
        whole = l->line[lines].end;
    (void)fstat(l->fd, &s);
    uint64_t size = (uint64_t)s.st_size, half = written - whole;
    if (half > 0 && size >= half && ftruncate(l->fd, (off_t)(size - half)) == 0)
        size -= half;
    for (unsigned i = 0; i < lines; i++)
        journal_mark(l->journal, l->line[i].seq);
    note_size(l, size);
    return lines;
}

static void drop_lines(struct logfile *l, unsigned lines) {
    size_t gone = lines ? l->line[lines - 1].end : 0;
    memmove(l->buffer, l->buffer + gone, l->used - gone);
    memmove(l->line, l->line + lines, (l->lines - lines) * sizeof *l->line);
    l->used -= gone;
    l->lines -= lines;
    for (unsigned i = 0; i < l->lines; i++)
        l->line[i].end -= gone;
}

/* The name is the caller's own choice, and reached with the caller's own rights. */
static bool ready_as_caller(struct logfile *l) {
    rights_back();
    bool good = ready(l);
    int error = errno;
    rights_again();
    errno = error;
    return good;
}

void logfile_try(struct logfile *l) {
    if (!ready_as_caller(l))
        (void)fail(l, errno);
}

bool logfile_flush(struct logfile *l) {
    if (l->used == 0)
        return true;
    if (l->retry_ns && clock_ns(CLOCK_MONOTONIC) < l->retry_ns)
        return false;
    if (!ready_as_caller(l))
        return fail(l, errno);
    while (l->used > 0) {
        ssize_t n = write(l->fd, l->buffer, l->used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(l, errno);
        unsigned lines = settle(l, (size_t)n);
        drop_lines(l, lines);
        if (lines == 0)
            return fail(l, ENOSPC);
    }
    if (l->error)
        warn("%s: works again", l->path);
    l->error = 0;
    l->retry_ns = 0;
    return true;
}
