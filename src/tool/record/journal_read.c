#include "tool/record/journal_read.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/folder.h"
#include "tool/reader/state_files.h"
#include "tool/record/journal.h"
#include "tool/record/journal_path.h"

/* Of any owner, as the state file is: what it says is a number to print. */
static int open_journal(const char *state_file) {
    char path[STATE_PATH + 16], folder[STATE_PATH];
    struct stat s;
    journal_path(path, sizeof path, state_file);
    const char *name = folder_of(folder, path);
    int dir = name ? state_folder_open(folder) : -1;
    int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (dir >= 0)
        (void)close(dir);
    if (fd < 0 || (fstat(fd, &s) == 0 && S_ISREG(s.st_mode)))
        return fd;
    (void)close(fd);
    return -1;
}

/* The frontier moves before the bits behind it are cleared: with the frontier as it is after the bits were read, every
 * bit that counts is one that was read before it was cleared. */
static void read_journal(int fd, struct journal_file *file) {
    uint64_t frontier;
    if (pread(fd, file, sizeof *file, 0) > 0 &&
        pread(fd, &frontier, sizeof frontier, offsetof(struct journal_file, frontier)) == sizeof frontier)
        file->frontier = frontier;
}

bool journal_progress(struct journal_progress *out, const struct state *s, const char *state_file) {
    struct journal j = {.fd = -1, .file = calloc(1, sizeof *j.file)};
    uint64_t first, last, made = s->header->created_ns / 1000;
    if (!j.file)
        return false;
    int fd = open_journal(state_file);
    if (fd >= 0) {
        read_journal(fd, j.file);
        (void)close(fd);
    }
    *out = (struct journal_progress){.lost = j.file->lost, .written_us = made};
    if (j.file->epoch != s->epoch)
        out->pending = __atomic_load_n(&s->header->next_seq, __ATOMIC_RELAXED);
    else
        out->pending = journal_missing(&j, __atomic_load_n(&s->header->next_seq, __ATOMIC_RELAXED), &first, &last);
    if (j.file->epoch == s->epoch && j.file->written_us > made)
        out->written_us = j.file->written_us;
    free(j.file);
    return true;
}
