/* logfile.h - the file of JSON Lines that the recorder writes: appended to, reopened when it was rotated, never ending
 * in half a line for long.
 *
 * Lines are collected and written together. What is written is noted in the journal; on the way from one to the other a
 * recorder may be killed, so the next one reads what the file has beyond what the journal says (logfile_resume). */
#ifndef CONNSPREAD_TOOL_RECORD_LOGFILE_H
#define CONNSPREAD_TOOL_RECORD_LOGFILE_H

#include <stddef.h>
#include <sys/types.h>

#include "tool/record/journal.h"

enum { LOGFILE_PATH = 256, LOGFILE_BYTES = 1 << 20, LOGFILE_LINES = 4096 };

struct logfile {
    char path[LOGFILE_PATH];
    int fd; /* -1: not open */
    dev_t device;
    ino_t inode;
    struct journal *journal;
    size_t used;
    unsigned lines;
    uint64_t retry_ns; /* CLOCK_MONOTONIC; 0: nothing is wrong */
    int error;         /* what is wrong */
    struct {
        uint64_t seq;
        size_t end;
    } line[LOGFILE_LINES];
    char buffer[LOGFILE_BYTES];
};

/* Opens the file for appending, creates it with mode 0640, follows no symbolic link. It must be a regular file with one
 * name that is ours or root's. A descriptor, or -1 with errno. */
int logfile_open(const char *path);

/* What that errno means here. */
const char *logfile_error_text(int error);

/* Large: not for the stack. */
void logfile_init(struct logfile *l, const char *path, struct journal *journal);

/* Opens the file before there is a line for it; says so if that cannot be. */
void logfile_try(struct logfile *l);
void logfile_end(struct logfile *l);

/* Is there room for one more line of up to length bytes? */
bool logfile_room(const struct logfile *l, size_t length);

/* Adds a line, without its newline. */
void logfile_add(struct logfile *l, uint64_t seq, const char *text, size_t length);

/* Writes what was added. False: not all of it (the disk is full, the folder is gone); it stays, and a later call tries
 * again, not more often than every 200 ms. */
bool logfile_flush(struct logfile *l);

#endif
