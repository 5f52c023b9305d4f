/* journal_path.h - DIR/INSTANCE.state -> DIR/INSTANCE.recorder, the recorder's journal. */
#ifndef CONNSPREAD_TOOL_RECORD_JOURNAL_PATH_H
#define CONNSPREAD_TOOL_RECORD_JOURNAL_PATH_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static inline void journal_path(char *out, size_t size, const char *state_file) {
    static const char suffix[] = ".state";
    size_t length = strlen(state_file), tail = sizeof suffix - 1;
    if (length > tail && strcmp(state_file + length - tail, suffix) == 0)
        length -= tail;
    snprintf(out, size, "%.*s.recorder", (int)length, state_file);
}

#endif
