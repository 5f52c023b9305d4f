/* strbuf.h - text appended to a caller's buffer, without allocation and without printf.
 *
 * What does not fit is dropped and remembered: check strbuf_finish once instead of every call. */
#ifndef CONNSPREAD_TOOL_COMMON_STRBUF_H
#define CONNSPREAD_TOOL_COMMON_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *start, *at, *end; /* end leaves room for the NUL */
    bool full;
};

/* size must be at least 1. */
void strbuf_init(struct strbuf *s, char *buffer, size_t size);

/* Terminates the text. Its length, or -1 when something did not fit. */
int strbuf_finish(struct strbuf *s);

void strbuf_bytes(struct strbuf *s, const char *bytes, size_t length);
void strbuf_text(struct strbuf *s, const char *text);
void strbuf_number(struct strbuf *s, uint64_t n);
void strbuf_grouped(struct strbuf *s, uint64_t n); /* 28,232 */
/* The same as a text of its own; returns out. */
enum { GROUPED_TEXT = 32 };
const char *grouped(char out[GROUPED_TEXT], uint64_t n);

void strbuf_hex16(struct strbuf *s, uint64_t n);

/* RFC 3339, UTC, microseconds. Whatever lies beyond the year 9999 becomes its last microsecond. */
void strbuf_time(struct strbuf *s, uint64_t us);

/* At most max bytes of possibly unterminated, possibly hostile text (foreign_text.h). JSON: quoted, what is not plain
 * escaped, invalid UTF-8 as \ufffd.
 * Plain: for a terminal, control characters and invalid UTF-8 as '?'. */
void strbuf_json(struct strbuf *s, const char *text, size_t max);
void strbuf_plain(struct strbuf *s, const char *text, size_t max);

#endif
