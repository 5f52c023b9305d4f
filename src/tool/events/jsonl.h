/* jsonl.h - events read back from JSON Lines, as `log -o json` writes them. */
#ifndef CONNSPREAD_TOOL_EVENTS_JSONL_H
#define CONNSPREAD_TOOL_EVENTS_JSONL_H

#include <stdbool.h>
#include <stdio.h>

#include "tool/events/format.h"

/* One line of length bytes, without its newline. Returns NULL, or what is wrong with it (static storage); *r and
 * *context are then undefined. Keys that are missing keep zero or the empty string, but for time and event; keys that
 * this version does not know are passed over. Numbers and names are checked: what comes out fits the record. */
const char *jsonl_parse(const char *line, size_t length, struct event_record *r, struct event_context *context);

/* The same by a parser, whatever the form: where jsonl_parse_close says true, this says the same. */
const char *jsonl_parse_any(const char *line, size_t length, struct event_record *r, struct event_context *context);

/* The next line of a file. The caller zeroes it, sets file or calls jsonl_open, and at the end calls jsonl_close. */
struct jsonl {
    FILE *file;
    const char *line; /* valid until the next call; length bytes, no newline */
    size_t length;
    uint64_t number; /* of this line, from 1 */
    char *buffer;
};

enum jsonl_result { JSONL_LINE, JSONL_TOO_LONG, JSONL_END, JSONL_ERROR };

/* "-" is stdin. False: errno. */
bool jsonl_open(struct jsonl *j, const char *name);

/* A file that a policy names, not the caller: only a regular one, opened without waiting for a writer. */
bool jsonl_open_regular(struct jsonl *j, const char *name);

/* Lines longer than any event are passed over whole, so that a file without newlines costs no memory. Allocates its
 * buffer at the first call. JSONL_ERROR: errno says why. */
enum jsonl_result jsonl_next(struct jsonl *j);
void jsonl_close(struct jsonl *j);

#endif
