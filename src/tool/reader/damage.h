/* damage.h - the lines of one file that could not be read, counted, the first of them by number. */
#ifndef CONNSPREAD_TOOL_READER_DAMAGE_H
#define CONNSPREAD_TOOL_READER_DAMAGE_H

#include <stdint.h>

enum { DAMAGE_LINES = 10 };

struct damage {
    uint64_t count;
    uint64_t line[DAMAGE_LINES];
    const char *first_reason; /* static storage */
};

void damage_note(struct damage *d, uint64_t line, const char *reason);

/* "FILE: 3 damaged lines passed over: 5 (not a JSON object), 9, 120" on stderr; nothing when there are none. */
void damage_warn(const struct damage *d, const char *file);

#endif
