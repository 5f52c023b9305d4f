/* journal.h - what the recorder of an instance has written so far, in a file of its own beside the state file.
 *
 * It outlives the recorder, so that the next one neither repeats an event nor leaves one out: the number below which
 * every event is accounted for (written, or said to be lost), and a bit for each of those above that are written. Its
 * lock is what makes a recorder the only one. Mapped shared: a recorder that is killed leaves it as it was at its last
 * store. */
#ifndef CONNSPREAD_TOOL_RECORD_JOURNAL_H
#define CONNSPREAD_TOOL_RECORD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

/* Numbers from frontier to frontier + JOURNAL_WINDOW have a bit that means something; those of the rest are 0. */
enum { JOURNAL_BITS = 1 << 20, JOURNAL_WINDOW = JOURNAL_BITS / 2 };

struct journal_file {
    char magic[8];
    uint32_t layout;
    uint32_t ending; /* the recorder is about to leave: a command that wants one shall wait for the lock */
    uint64_t wanted; /* times that a command wanted a recorder */
    uint64_t epoch;
    uint64_t frontier;
    /* The log file as it was after the last write. */
    uint64_t device, inode, size;
    uint64_t bits[JOURNAL_BITS / 64];
    /* How far the recorder is, for stat (progress of journal_read.h). A file of an older connspread ends before them.
     */
    uint64_t written_us; /* what had happened by then is in the file */
    uint64_t lost;       /* events that a line said to be lost */
};

struct journal {
    int fd;
    struct journal_file *file;
};

enum journal_result {
    JOURNAL_OURS,
    JOURNAL_TAKEN, /* there is a recorder */
    JOURNAL_FAILED /* errno says why */
};

/* Opens and locks; waits while the present recorder is leaving, for a few seconds at most. */
enum journal_result journal_open(struct journal *j, const char *path);
void journal_close(struct journal *j);

/* Is a recorder needed? Tells the one that runs, if one does, that it is. For a command that would start one. */
bool journal_needs_recorder(const char *path);

/* The recorder wants to leave. False: a command has wanted it since *wanted was read, so it must stay. */
bool journal_may_end(struct journal *j, uint64_t *wanted);

/* Events of another epoch are from another state file: all is forgotten. */
void journal_begin(struct journal *j, uint64_t epoch);

/* Is this number accounted for? And: it is written. Numbers beyond the window are neither. */
bool journal_has(const struct journal *j, uint64_t seq);
void journal_mark(struct journal *j, uint64_t seq);
bool journal_in_window(const struct journal *j, uint64_t seq);

/* How many numbers below limit are not accounted for, and the first and last of them. */
uint64_t journal_missing(const struct journal *j, uint64_t limit, uint64_t *first, uint64_t *last);

/* What had happened until then, by the clock, is in the file. */
void journal_written(struct journal *j, uint64_t until_us);

/* So many events more were said to be lost. */
void journal_lose(struct journal *j, uint64_t events);

/* Everything below limit is accounted for from now on. */
void journal_settle(struct journal *j, uint64_t limit);

/* Moves the frontier over what is written without a gap. */
void journal_advance(struct journal *j);

#endif
