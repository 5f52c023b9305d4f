/* json.h - Keys and their order are the contract (src/DESIGN.md, Events): programs read this. */
#ifndef CONNSPREAD_TOOL_EVENTS_JSON_H
#define CONNSPREAD_TOOL_EVENTS_JSON_H

#include "tool/events/fields.h"
#include "tool/events/format.h"

/* One compact JSON object as in src/DESIGN.md, Events, without a newline; NUL-terminated. Its length, or -1 when size
 * is too small. Every number in r may be out of range. No allocation. */
int event_json(const struct event_record *r, const struct event_context *context, char *out, size_t size);

/* One compact JSON object as connspread(1), EVENTS, has it, without a newline; NUL-terminated. Its length, or -1 when
 * size is too small. Every number in r may be out of range. No allocation. */
int event_json(const struct event_record *r, const struct event_context *context, char *out, size_t size);

/* The same with the names of a schema: flat, dotted keys in the same order. The members of lists and of objects keep
 * theirs. */
int event_json_as(enum event_schema schema, const struct event_record *r, const struct event_context *context,
                  char *out, size_t size);

#endif
