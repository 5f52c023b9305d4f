/* jsonl_close.h - closes, read faster than by a parser: they are nearly all of a log, and reading them is nearly all of
 * the time that a large one takes: a line that is written exactly as event_json writes it is read here, without a
 * parser's tree. Whatever is not, to the byte, is left to the parser, so that this file decides nothing but speed. */
#ifndef CONNSPREAD_TOOL_EVENTS_JSONL_CLOSE_H
#define CONNSPREAD_TOOL_EVENTS_JSONL_CLOSE_H

#include <stddef.h>
#include <stdbool.h>

#include "state/event.h"
#include "tool/events/format.h"

/* False: it is not written so (*r and *context are then undefined). */
bool jsonl_parse_close(const char *line, size_t length, struct event_record *r, struct event_context *context);

/* How long before an event its fate was decided; 0 for nonsense. */
static inline uint32_t jsonl_before_ms(uint64_t time_us, uint64_t decided_us) {
    uint64_t before = decided_us && decided_us < time_us ? (time_us - decided_us) / 1000 : 0;
    return before < UINT32_MAX ? (uint32_t)before : UINT32_MAX;
}

#endif
