/* print.h - one event on standard output, as text or as a line of JSON. */
#ifndef CONNSPREAD_TOOL_LOG_PRINT_H
#define CONNSPREAD_TOOL_LOG_PRINT_H

#include "tool/events/format.h"
#include "tool/log/model.h"

bool log_wants(const struct log_request *request, const struct event *e);

/* Prints one event, or, of a line of JSON Lines, the line as it was (original may be NULL: none). */
void log_print(const struct log_request *request, const struct event_record *r, const struct event_context *context,
               const char *original, size_t original_length);

/* Pushes out what is buffered. */
void log_flush(void);

/* errno of the first write that failed; 0: none did. */
int log_write_error(void);

#endif
