/* text.h - building short texts without stdio, for paths and the few words that a client leaves. Async-signal-safe.
 * Each appends at *at and keeps out NUL-terminated; what does not fit sets *at to size, and stays there. */
#ifndef CONNSPREAD_BASE_TEXT_H
#define CONNSPREAD_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

static inline void text_add(char *out, size_t size, size_t *at, const char *text) {
    size_t i = *at;
    if (i >= size)
        return;
    for (; *text && i + 1 < size; text++)
        out[i++] = *text;
    out[i] = 0;
    *at = *text ? size : i;
}

static inline void text_add_number(char *out, size_t size, size_t *at, uint64_t n) {
    char digits[21];
    unsigned i = sizeof digits - 1;
    digits[i] = 0;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    text_add(out, size, at, digits + i);
}

#endif
