/* columns.h - tables: rows are collected, and printed so that they fit the screen.
 *
 * What does not fit loses first the columns in which every cell says 0 (their names stand below), then goes on in
 * further lines, indented; a cell that is wider than a line, such as an address, is cut in its middle last. */
#ifndef CONNSPREAD_TOOL_SCREEN_COLUMNS_H
#define CONNSPREAD_TOOL_SCREEN_COLUMNS_H

#include <stdbool.h>

#include "tool/screen/screen.h"

struct column {
    const char *title;
    unsigned width; /* at least, where there is room */
    bool right;     /* numbers are aligned at the right */
    bool may_go;    /* where all its cells say 0 or nothing, and there is no room */
};

struct columns;

enum { COLUMNS_MAX = 24 };

/* A table whose lines begin with indent spaces, and whose cells are gap apart. The columns must outlive it. At most
 * COLUMNS_MAX. NULL: no memory; every other function takes it, and columns_print says so in place of the table. */
struct columns *columns_begin(const struct column *column, unsigned n, unsigned indent, unsigned gap);

/* The next cell of the row. After the last one another row begins. text is copied. */
void columns_cell(struct columns *t, const char *text);
void columns_cell_in(struct columns *t, enum colour colour, const char *text);
void columns_number(struct columns *t, unsigned long long n); /* 28,232 */

/* A line under the last row, wrapped. */
void columns_note(struct columns *t, unsigned indent, const char *text);

/* Prints and frees. */
void columns_print(struct columns *t, const struct screen *s);

#endif
