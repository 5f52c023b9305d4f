/* last.h - the last lines of a stream, and no others (log -n). */
#ifndef CONNSPREAD_TOOL_LOG_LAST_H
#define CONNSPREAD_TOOL_LOG_LAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { LAST_MAX = 1000000 };

/* All zero but max: none yet. */
struct last_lines {
    size_t max;   /* how many are kept */
    size_t count; /* that came */
    char **line;
    size_t *length;
};

/* Takes one, with its newline, and lets the oldest go. False: no memory. */
bool last_add(struct last_lines *l, const char *text, size_t length);

/* Prints what is kept and frees it. */
void last_print(struct last_lines *l, FILE *out);

#endif
