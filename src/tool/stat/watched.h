/* watched.h - an instance that is looked at again and again. */
#ifndef CONNSPREAD_TOOL_STAT_WATCHED_H
#define CONNSPREAD_TOOL_STAT_WATCHED_H

#include <sys/stat.h>

#include "state/ring.h"
#include "tool/host/capacity.h"
#include "tool/reader/state_files.h"
#include "tool/screen/screen.h"
#include "tool/stat/model.h"

enum { WATCHED_INCIDENTS = 16, WATCHED_LINE = 640 };

struct watched_incident {
    uint64_t time_us;
    enum colour colour;  /* of its kind */
    size_t from, length; /* where that stands in text */
    char text[WATCHED_LINE];
};

struct watched {
    char path[STATE_PATH];
    ino_t inode;
    struct state state;
    struct stat_report *before; /* as it was at the last look */
    struct stat_report *since;  /* what happened between the last two looks; NULL: there was one */
    uint64_t taken_ns;          /* CLOCK_MONOTONIC of the last */
    double seconds;             /* between the two */
    struct ring_reader reader;
    struct watched_incident incident[WATCHED_INCIDENTS]; /* a ring */
    unsigned incidents;                                  /* there ever were */
};

/* f NULL: the path alone is known. NULL: it cannot be read, *error and *result say why. */
struct watched *watched_open(const char *path, const struct state_file *f, enum state_error *result, int *error);

/* scratch: a report with room for everything. False: the file was cut, or there is no memory. */
bool watched_look(struct watched *w, struct stat_report *scratch, const struct host_ports *ports);

void watched_close(struct watched *w);

#endif
