/* foreign_text.h - the one place through which text goes that others have written: names of files, instances, programs
 * and rules, and what events say.
 *
 * A terminal obeys control characters, also those of C1 (U+0080..U+009F, or the bytes 0x80..0x9f alone), and a reader
 * is led astray by characters that turn the order of a line or end it. Neither these nor bytes that are no UTF-8 leave
 * the tool as they are. */
#ifndef CONNSPREAD_TOOL_COMMON_FOREIGN_TEXT_H
#define CONNSPREAD_TOOL_COMMON_FOREIGN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The character that begins at text (length > 0 left). */
struct foreign_char {
    size_t bytes;        /* that it takes; 1 when they are no UTF-8 */
    uint32_t code_point; /* U+FFFD when they are not */
    bool plain;          /* may be shown as it is */
};
struct foreign_char foreign_char(const char *text, size_t length);

/* Onto a terminal, or into a file that may end on one: '?' for each character that is not plain. */
void foreign_print(FILE *out, const char *text, size_t length);

/* Into a page of HTML, between tags or between the quotes of an attribute: markup becomes references, and '?' stands
 * for each character that is not plain, or that HTML calls none. */
void foreign_print_html(FILE *out, const char *text, size_t length);

/* One line of JSON, valid but for bytes that are no UTF-8: what is not plain as \u0000, between values as a space. */
void foreign_print_json(FILE *out, const char *line, size_t length);

#endif
