#include "tool/record/logfile_resume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/record/logfile.h"
#include "tool/common/rights.h"

/* {"time":"2026-11-21T03:27:59.000000Z","epoch":"0123456789abcdef","seq":12, */
static const char before_time[] = "{\"time\":\"", before_epoch[] = "Z\",\"epoch\":\"", before_seq[] = "\",\"seq\":";
enum { TIME_DIGITS = 26, EPOCH_DIGITS = 16 };

/* A file whose journal is gone: how far back it is read. What the rings may still have takes less. */
enum { LINE_TYPICAL = 768, CELLS_MAX = 1 << 20 };

static bool take(const char **at, const char *end, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(end - *at) < n || memcmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool digits(const char **at, const char *end, unsigned base, unsigned max, uint64_t *out) {
    static const char digit[] = "0123456789abcdef";
    unsigned n = 0;
    for (*out = 0; *at < end && n < max; n++, ++*at) {
        const char *found = **at ? memchr(digit, **at, base) : NULL;
        if (!found)
            break;
        *out = *out * base + (uint64_t)(found - digit);
    }
    return n > 0;
}

bool logfile_line_number(const char *line, size_t length, uint64_t *epoch, uint64_t *seq) {
    const char *at = line, *end = line + length;
    if (!take(&at, end, before_time) || end - at < TIME_DIGITS)
        return false;
    at += TIME_DIGITS;
    return take(&at, end, before_epoch) && digits(&at, end, 16, EPOCH_DIGITS, epoch) && take(&at, end, before_seq) &&
           digits(&at, end, 10, 20, seq) && at < end && *at == ',';
}

struct scan {
    struct journal *journal;
    uint64_t epoch;
    bool fresh; /* the journal knows nothing: the first number met is where it begins */
};

static void note(struct scan *scan, const char *line, size_t length) {
    uint64_t epoch, seq;
    if (!logfile_line_number(line, length, &epoch, &seq) || epoch != scan->epoch)
        return;
    if (!journal_in_window(scan->journal, seq) && scan->fresh && seq != UINT64_MAX)
        journal_settle(scan->journal, seq + 1 - JOURNAL_WINDOW);
    journal_mark(scan->journal, seq);
}

/* The front of a line, which has its number; of the rest nothing is kept, for a file may have lines and holes of any
 * size. */
struct front {
    char text[256];
    size_t length;
};

/* What a block adds to the line that has begun, and the lines that end in it. Returns how much of it is whole lines. */
static size_t scan_block(struct scan *scan, struct front *front, const char *block, size_t size) {
    size_t whole = 0;
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(block + at, '\n', size - at);
        size_t n = newline ? (size_t)(newline - block) - at : size - at;
        size_t room = sizeof front->text - front->length, kept = n < room ? n : room;
        memcpy(front->text + front->length, block + at, kept);
        front->length += kept;
        at += n;
        if (newline) {
            note(scan, front->text, front->length);
            front->length = 0;
            whole = ++at;
        }
    }
    return whole;
}

/* Reads the lines from there on. Returns the offset after the last whole line, or -1. A line with a hole in it is none
 * of ours. */
static off_t scan_lines(struct scan *scan, int fd, off_t from) {
    char block[16 << 10];
    struct front front = {.length = 0};
    off_t whole = from, at = from;
    ssize_t n;
    while ((n = pread(fd, block, sizeof block, at)) > 0) {
        size_t lines = scan_block(scan, &front, block, (size_t)n);
        if (lines > 0)
            whole = at + (off_t)lines;
        at += n;
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data > at) {
            at = data;
            memset(&front.text, 0, sizeof front.text);
            front.length = sizeof front.text;
        }
    }
    return n < 0 ? -1 : whole;
}

/* What stands behind the last newline: half a line of ours is cut off; anything else becomes a line. */
static void mend(const char *path, int fd, off_t whole, const struct stat *read) {
    char begin[sizeof before_time - 1] = {0};
    struct stat s;
    if (whole < 0 || whole >= read->st_size)
        return;
    ssize_t n = pread(fd, begin, sizeof begin, whole);
    int out = logfile_open(path);
    if (out < 0)
        return;
    if (fstat(out, &s) != 0 || s.st_ino != read->st_ino || s.st_dev != read->st_dev) { /* rotated in between */
        (void)close(out);
        return;
    }
    bool ours = n > 0 && memcmp(begin, before_time, (size_t)n) == 0;
    /* Where even the newline cannot be written, the half line stays; readers count it as damaged. */
    if ((!ours || ftruncate(out, whole) != 0) && write(out, "\n", 1) != 1)
        (void)lseek(out, 0, SEEK_END);
    (void)close(out);
}

static int open_reading(const char *path, struct stat *s) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, s) == 0 && S_ISREG(s->st_mode))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* The file that the last recorder wrote to, under whatever name logrotate has given it in the same folder. */
static int open_renamed(const struct logfile *l, struct stat *s) {
    char folder[LOGFILE_PATH], path[LOGFILE_PATH + 256];
    const struct journal_file *known = l->journal->file;
    const char *slash = strrchr(l->path, '/');
    int fd = -1;
    if (!slash || known->inode == 0)
        return -1;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - l->path + 1), l->path);
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && fd < 0 && (e = readdir(dir));) {
        if (e->d_ino != known->inode)
            continue;
        snprintf(path, sizeof path, "%s%s", folder, e->d_name);
        fd = open_reading(path, s);
        if (fd >= 0 && (s->st_ino != known->inode || s->st_dev != known->device)) {
            (void)close(fd);
            fd = -1;
        }
    }
    if (dir)
        (void)closedir(dir);
    return fd;
}

static bool is_known(const struct journal_file *known, const struct stat *s) {
    return known->inode != 0 && s->st_ino == known->inode && s->st_dev == known->device;
}

/* A file that was cut (copytruncate) is read from its start. */
static off_t known_part(const struct journal_file *known, const struct stat *s) {
    return known->size <= (uint64_t)s->st_size ? (off_t)known->size : 0;
}

static void resume(struct logfile *l, uint64_t epoch) {
    struct stat s;
    const struct journal_file *known = l->journal->file;
    struct scan scan = {.journal = l->journal, .epoch = epoch, .fresh = known->inode == 0};
    int fd = open_reading(l->path, &s);
    if (fd < 0 || !is_known(known, &s)) {
        struct stat old;
        int renamed = open_renamed(l, &old);
        if (renamed >= 0) {
            (void)scan_lines(&scan, renamed, known_part(known, &old));
            (void)close(renamed);
        }
    }
    if (fd < 0)
        return;
    off_t from = 0, tail = (off_t)CELLS_MAX * LINE_TYPICAL;
    if (is_known(known, &s))
        from = known_part(known, &s);
    else if (s.st_size > tail)
        from = s.st_size - tail;
    off_t whole = scan_lines(&scan, fd, from);
    mend(l->path, fd, whole, &s);
    (void)close(fd);
}

void logfile_resume(struct logfile *l, uint64_t epoch) {
    rights_back();
    resume(l, epoch);
    rights_again();
}
