/* screen.h - where text for people goes: how wide it may be, and whether it may have colours.
 *
 * What goes to a terminal fits it; what goes elsewhere is as wide as it is, for programs read it. */
#ifndef CONNSPREAD_TOOL_SCREEN_SCREEN_H
#define CONNSPREAD_TOOL_SCREEN_SCREEN_H

#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>

enum { SCREEN_WIDTH = 100, SCREEN_NARROWEST = 20, SCREEN_HANG = 4 };

/* Only where one means something: what failed, what soon will, what is well. */
enum colour { COLOUR_NONE, COLOUR_BAD, COLOUR_WARNING, COLOUR_GOOD, COLOUR_STRONG };

struct screen {
    FILE *out;
    unsigned width; /* columns; 0: no bound */
    bool colours;
};

/* Standard output. A terminal's width is COLUMNS, else what the terminal says, else SCREEN_WIDTH; its colours are there
 * unless NO_COLOR says otherwise or TERM has none. */
struct screen screen_stdout(void);

/* From now on standard output has no bound: --wide. */
void screen_make_wide(void);

/* For sentences: a longer line is hard to read, however wide the terminal is. */
struct screen screen_for_prose(struct screen s);

/* What the terminal behind fd says of itself: columns and lines, 0 where it does not know. */
void screen_size(int fd, unsigned *columns, unsigned *lines);

/* Of how many percent of its ports something has taken: from where on they soon run out. */
enum colour screen_share_colour(double percent);

/* Writes length bytes of text in a colour. */
void screen_paint(const struct screen *s, enum colour colour, const char *text, size_t length);

#endif
