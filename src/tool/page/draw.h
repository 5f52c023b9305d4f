/* draw.h - pictures as SVG. x and widths in percent of the picture, so that it is as wide as the page; y and heights in
 * pixels, so that letters stay readable on a phone. */
#ifndef CONNSPREAD_TOOL_PAGE_DRAW_H
#define CONNSPREAD_TOOL_PAGE_DRAW_H

#include <stdint.h>
#include <stdio.h>

struct box {
    double x, y, width, height;
};

/* id: of the element, unlike any other's. about: what a reader who does not see it wants to know. */
void draw_begin(FILE *out, const char *id, unsigned height, const char *title, const char *about);
void draw_end(FILE *out, const char *caption);

/* say: shown when pointed at; NULL: nothing. */
void draw_box(FILE *out, const char *class, const struct box *box, const char *say);
void draw_line(FILE *out, const char *class, const struct box *from_to); /* to: x + width, y + height */
void draw_text(FILE *out, const char *class, double x, double y, const char *text);

/* "LEFT to RIGHT" from y on, in two lines where one would not fit a phone; returns the y that follows. */
enum { DRAW_LINE = 16 };
unsigned draw_pair(FILE *out, unsigned y, const char *left, const char *right);
unsigned draw_pair_lines(const char *left, const char *right);

/* The time of day, or day and time, as the span asks for: for axes. Returns out. */
enum { DRAW_TIME = 24 };
const char *draw_time(char out[DRAW_TIME], uint64_t us, uint64_t span_us);

/* A time axis below y: from start over span. Takes DRAW_AXIS pixels. */
enum { DRAW_AXIS = 40 };
void draw_time_axis(FILE *out, unsigned y, uint64_t start_us, uint64_t span_us, const char *title);

#endif
