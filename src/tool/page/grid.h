/* grid.h - the table behind a picture, closed until it is asked for. */
#ifndef CONNSPREAD_TOOL_PAGE_GRID_H
#define CONNSPREAD_TOOL_PAGE_GRID_H

#include <stdint.h>
#include <stdio.h>

/* columns: their heads, ended by NULL; one that begins with '#' is of numbers. */
void grid_begin(FILE *out, const char *caption, const char *const *columns);
void grid_row(FILE *out);
void grid_text(FILE *out, const char *text);
void grid_number(FILE *out, uint64_t n);
void grid_row_end(FILE *out);
void grid_end(FILE *out);

#endif
