/* cells.h - how many columns of a terminal a text takes. The text has been made harmless before (foreign_text.h). */
#ifndef CONNSPREAD_TOOL_SCREEN_CELLS_H
#define CONNSPREAD_TOOL_SCREEN_CELLS_H

#include <stddef.h>

/* Of one character of UTF-8 at text (length > 0 left): its bytes, and in *columns 0, 1 or 2. */
size_t cells_next(const char *text, size_t length, unsigned *columns);

/* Of length bytes. */
unsigned cells_width(const char *text, size_t length);

/* The longest beginning of text that takes at most columns: its bytes. */
size_t cells_fit(const char *text, size_t length, unsigned columns);

#endif
