/* wrap.h - lines that fit a screen, broken at spaces, with a hanging indent. */
#ifndef CONNSPREAD_TOOL_SCREEN_WRAP_H
#define CONNSPREAD_TOOL_SCREEN_WRAP_H

#include <stddef.h>

#include "tool/screen/screen.h"

/* A stretch of the text in a colour, as bytes from..from+length-1 of its first line; it has no space in it. */
struct wrap_paint {
    enum colour colour;
    size_t from, length;
};

/* Prints text, which may have several lines, and a newline. What does not fit goes on in column hang of the next line;
 * SCREEN_HANG where hang would take half of the screen. A word that is longer than a line is cut. */
void wrap_print(const struct screen *s, const char *text, unsigned hang);
void wrap_print_painted(const struct screen *s, const char *text, unsigned hang, struct wrap_paint paint);

/* One line, cut where the screen ends. */
void wrap_cut(const struct screen *s, const char *text, struct wrap_paint paint);

/* Fills in the blanks and prints the same. */
void wrap_printf(const struct screen *s, unsigned hang, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
