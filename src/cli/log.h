/* log.h - the parts of `connspread log`: what is asked for, where events come from, how they are printed. */
#ifndef CONNSPREAD_CLI_LOG_H
#define CONNSPREAD_CLI_LOG_H

#include <signal.h>
#include <stdbool.h>

#include "cli/event_format.h"
#include "cli/locate.h"

struct log_request {
    bool follow, json;
    bool to_file;                /* follow into log.file if the config names one */
    bool keep;                   /* ... even when the last client has gone */
    uint64_t since_us, until_us; /* inclusive */
    uint32_t kinds;              /* bit per enum event_kind */
    bool has_pid;
    uint32_t pid;
};

/* Set to the signal by SIGINT and SIGTERM, and to 1 by a write that failed: whoever reads events ends soon after. */
extern volatile sig_atomic_t log_stop;

bool log_wants(const struct log_request *request, const struct event *e);

/* Prints one event, or, of a line of JSON Lines, the line as it was (original may be NULL: none). */
void log_print(const struct log_request *request, const struct event_record *r, const struct event_context *context,
               const char *original, size_t original_length);

/* Pushes out what is buffered. */
void log_flush(void);

/* Each prints all that the request wants, says on stderr what could not be read, and returns the exit status. */
int log_from_state(const struct log_request *request, const struct location *where);
int log_from_files(const struct log_request *request, char *const *files, int n_files);

#endif
