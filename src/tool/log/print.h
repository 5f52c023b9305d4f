/* print.h - one event on standard output, as text or as a line of JSON. */
#ifndef CONNSPREAD_TOOL_LOG_PRINT_H
#define CONNSPREAD_TOOL_LOG_PRINT_H

#include "tool/events/format.h"
#include "tool/log/model.h"

bool log_wants(const struct log_request *request, const struct event_record *r);

/* One event, and, of JSON Lines, the line as it was. */
struct log_line {
    const struct event_record *record;
    const struct event_context *context;
    const char *original; /* NULL: none */
    size_t original_length;
    bool of_this_boot; /* so that the number of a network namespace means something here */
};

void log_print(const struct log_request *request, const struct log_line *l);

/* Pushes out what is buffered; of a request for the last ones, those: what comes later is printed as it comes. */
void log_flush(struct log_request *request);

/* errno of the first write that failed; 0: none did. */
int log_write_error(void);

#endif
