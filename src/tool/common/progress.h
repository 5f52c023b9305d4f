/* progress.h - what a command is at, for a person who waits at a terminal: one line on stderr after the first second,
 * written over and taken away at the end. Nothing where stderr is no terminal. No escape sequences: any terminal will
 * do. */
#ifndef CONNSPREAD_TOOL_COMMON_PROGRESS_H
#define CONNSPREAD_TOOL_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool wanted;
    int width;            /* of what stands there now, in bytes; 0: nothing */
    uint64_t began, last; /* CLOCK_MONOTONIC, ns */
};

void progress_begin(struct progress *p);

/* True when it is time to say something: wanted, a second after the start, and not more than four times a second. */
bool progress_due(const struct progress *p);

/* Writes "connspread: ..." over what stood there. */
void progress_say(struct progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

void progress_end(struct progress *p);

#endif
