/* jsonl_close.h - Closes are nearly all of a log, and reading them is nearly all of the time that a large one takes: a
 * line that is written exactly as event_json writes it is read here, without a parser's tree. Whatever is not, to the
 * byte, is left to the parser, so that this file decides nothing but speed. */
#ifndef CONNSPREAD_TOOL_EVENTS_JSONL_CLOSE_H
#define CONNSPREAD_TOOL_EVENTS_JSONL_CLOSE_H

#include <stddef.h>
#include <stdbool.h>

#include "state/event.h"
#include "tool/events/format.h"

struct event_context;
struct event_record;

/* The two ways in which it does that. The first reads closes that are written as event_json writes them, to the byte;
 * false: that it is not (*r and *context are then undefined). The second reads everything; where the first says true,
 * it says the same. */
bool jsonl_parse_close(const char *line, size_t length, struct event_record *r, struct event_context *context);

#endif
