/* strbuf.h - text appended to a caller's buffer, without allocation and without printf.
 *
 * What does not fit is dropped and remembered: check sink_finish once instead of every call. */
#ifndef CONNSPREAD_TOOL_COMMON_STRBUF_H
#define CONNSPREAD_TOOL_COMMON_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink {
    char *start, *at, *end; /* end leaves room for the NUL */
    bool full;
};

/* size must be at least 1. */
void sink_init(struct sink *s, char *buffer, size_t size);

/* Terminates the text. Its length, or -1 when something did not fit. */
int sink_finish(struct sink *s);

void sink_bytes(struct sink *s, const char *bytes, size_t length);
void sink_text(struct sink *s, const char *text);
void sink_number(struct sink *s, uint64_t n);
void sink_grouped(struct sink *s, uint64_t n); /* 28,232 */
/* The same as a text of its own; returns out. */
enum { GROUPED_TEXT = 32 };
const char *grouped(char out[GROUPED_TEXT], uint64_t n);

void sink_hex16(struct sink *s, uint64_t n);

/* RFC 3339, UTC, microseconds. Whatever lies beyond the year 9999 becomes its last microsecond. */
void sink_time(struct sink *s, uint64_t us);

/* At most max bytes of possibly unterminated, possibly hostile text (foreign_text.h). JSON: quoted, what is not plain
 * escaped, invalid UTF-8 as \ufffd.
 * Plain: for a terminal, control characters and invalid UTF-8 as '?'. */
void sink_json(struct sink *s, const char *text, size_t max);
void sink_plain(struct sink *s, const char *text, size_t max);

#endif
