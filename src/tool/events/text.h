/* text.h - Events for people: one line that reads from left to right as when, what, which program, from where to where,
 * why. */
#ifndef CONNSPREAD_TOOL_EVENTS_TEXT_H
#define CONNSPREAD_TOOL_EVENTS_TEXT_H

#include "tool/events/format.h"
#include "tool/screen/screen.h"

/* A line for people, without its newline; what an exhausted event tried follows in indented lines. What follows the two
 * endpoints stands in fields.def. Returns its length, or -1 when out was too small. */
int event_text(const struct event_record *r, const struct event_context *context, char *out, size_t size);

/* Of the kind's name in that line: bad, a warning, or none. */
enum colour event_colour(unsigned kind);

#endif
