#include "tool/screen/columns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tool/screen/cells.h"
#include "tool/screen/wrap.h"

enum { NOTE = 1u << 31, CUT_MARKS = 2, LEFT_OUT_TEXT = 1024 };

/* A cell, or a note (its column: NOTE and its indent). */
struct cell {
    size_t text; /* where it begins */
    unsigned column;
    enum colour colour;
};

struct columns {
    const struct column *column;
    unsigned n, indent, gap, next;
    bool no_memory;
    char *text;
    size_t text_used, text_size;
    struct cell *cell;
    size_t cells, cells_size;
    /* When it is printed: */
    unsigned width[COLUMNS_MAX], line[COLUMNS_MAX];
    bool gone[COLUMNS_MAX];
};

struct columns *columns_begin(const struct column *column, unsigned n, unsigned indent, unsigned gap) {
    struct columns *t = calloc(1, sizeof *t);
    if (t) {
        t->column = column;
        t->n = n;
        t->indent = indent;
        t->gap = gap;
    }
    return t;
}

/* --- collecting --- */

/* Room for one more of size bytes. False: there is none. */
static bool reserve(void **memory, size_t *size, size_t needed, size_t unit) {
    if (needed <= *size)
        return true;
    size_t larger = *size ? 2 * *size : 256;
    larger = larger < needed ? needed : larger;
    void *grown = reallocarray(*memory, larger, unit);
    if (!grown)
        return false;
    *memory = grown;
    *size = larger;
    return true;
}

static void add(struct columns *t, unsigned column, enum colour colour, const char *text) {
    size_t length = strlen(text) + 1;
    void *texts = t->text, *cells = t->cell;
    bool good = reserve(&texts, &t->text_size, t->text_used + length, 1);
    t->text = texts;
    good = good && reserve(&cells, &t->cells_size, t->cells + 1, sizeof *t->cell);
    t->cell = cells;
    if (!good) {
        t->no_memory = true;
        return;
    }
    memcpy(t->text + t->text_used, text, length);
    t->cell[t->cells++] = (struct cell){t->text_used, column, colour};
    t->text_used += length;
}

void columns_cell_in(struct columns *t, enum colour colour, const char *text) {
    if (!t)
        return;
    add(t, t->next, colour, text);
    t->next = (t->next + 1) % t->n;
}

void columns_cell(struct columns *t, const char *text) {
    columns_cell_in(t, COLOUR_NONE, text);
}

void columns_number(struct columns *t, unsigned long long n) {
    char text[27];
    size_t at = sizeof text;
    unsigned digits = 0;
    text[--at] = '\0';
    do {
        if (digits && digits % 3 == 0)
            text[--at] = ',';
        text[--at] = (char)('0' + n % 10);
        n /= 10;
        digits++;
    } while (n);
    columns_cell(t, text + at);
}

void columns_note(struct columns *t, unsigned indent, const char *text) {
    if (t)
        add(t, NOTE | indent, COLOUR_NONE, text);
}

/* --- fitting --- */

static bool says_nothing(const char *text) {
    return !text[0] || strcmp(text, "0") == 0 || strcmp(text, "-") == 0;
}

/* Of each column what its cells need; and which of them say nothing. */
static void measure(struct columns *t, bool nothing[COLUMNS_MAX]) {
    for (unsigned i = 0; i < t->n; i++) {
        t->width[i] = cells_width(t->column[i].title, strlen(t->column[i].title));
        nothing[i] = t->column[i].may_go && t->cells > 0;
    }
    for (size_t i = 0; i < t->cells; i++) {
        const struct cell *c = &t->cell[i];
        const char *text = t->text + c->text;
        if (c->column & NOTE)
            continue;
        unsigned width = cells_width(text, strlen(text));
        t->width[c->column] = width > t->width[c->column] ? width : t->width[c->column];
        nothing[c->column] &= says_nothing(text);
    }
}

static unsigned together(const struct columns *t, bool with_room) {
    unsigned sum = t->indent;
    for (unsigned i = 0; i < t->n; i++) {
        unsigned width = with_room && t->column[i].width > t->width[i] ? t->column[i].width : t->width[i];
        sum += t->gone[i] ? 0 : width + t->gap;
    }
    return sum - t->gap;
}

static void give_room(struct columns *t) {
    for (unsigned i = 0; i < t->n; i++)
        t->width[i] = t->column[i].width > t->width[i] ? t->column[i].width : t->width[i];
}

/* Which line each goes to. One that is wider than a line has one of its own, and is cut there. */
static void break_lines(struct columns *t, unsigned width) {
    unsigned line = 0, at = t->indent;
    for (unsigned i = 0; i < t->n; i++) {
        bool first = at == (line ? t->indent + SCREEN_HANG : t->indent);
        if (t->gone[i])
            continue;
        if (!first && at + t->width[i] > width) {
            line++;
            at = t->indent + SCREEN_HANG;
        }
        t->width[i] = at + t->width[i] > width ? width - at : t->width[i];
        t->line[i] = line;
        at += t->width[i] + t->gap;
    }
}

static void fit(struct columns *t, unsigned width) {
    bool nothing[COLUMNS_MAX];
    measure(t, nothing);
    if (width == 0 || together(t, true) <= width) {
        give_room(t);
        return;
    }
    if (together(t, false) <= width)
        return;
    memcpy(t->gone, nothing, t->n * sizeof *nothing);
    if (together(t, true) <= width)
        give_room(t);
    else if (together(t, false) > width)
        break_lines(t, width);
}

/* --- printing --- */

static void spaces(const struct screen *s, unsigned n) {
    fprintf(s->out, "%*s", (int)n, "");
}

/* Beginning and end of a text that is too wide, with ".." between. */
static void put_cut(const struct screen *s, enum colour colour, const char *text, unsigned width) {
    size_t length = strlen(text), from = length;
    unsigned half = width > CUT_MARKS ? (width - CUT_MARKS) / 2 : 0;
    size_t head = cells_fit(text, length, width > CUT_MARKS ? width - CUT_MARKS - half : 0);
    while (from > head && cells_width(text + from - 1, length - from + 1) <= half)
        from--;
    while (from < length && ((unsigned char)text[from] & 0xc0) == 0x80) /* not inside of a character */
        from++;
    screen_paint(s, colour, text, head);
    fputs("..", s->out);
    screen_paint(s, colour, text + from, length - from);
    spaces(s, width - CUT_MARKS - cells_width(text, head) - cells_width(text + from, length - from));
}

static bool last_of_line(const struct columns *t, unsigned column) {
    for (unsigned i = column + 1; i < t->n; i++)
        if (!t->gone[i])
            return t->line[i] != t->line[column];
    return true;
}

static void put_cell(const struct columns *t, const struct screen *s, unsigned column, const struct cell *c) {
    const char *text = c ? t->text + c->text : t->column[column].title;
    enum colour colour = c ? c->colour : COLOUR_NONE;
    unsigned width = cells_width(text, strlen(text)), room = t->width[column];
    bool last = last_of_line(t, column);
    if (width > room) {
        put_cut(s, colour, text, room);
    } else {
        spaces(s, t->column[column].right ? room - width : 0);
        screen_paint(s, colour, text, strlen(text));
        spaces(s, t->column[column].right || last ? 0 : room - width);
    }
    if (!last)
        spaces(s, t->gap);
}

/* The cells of a row, or NULL for the titles. */
static void put_row(const struct columns *t, const struct screen *s, const struct cell *row) {
    unsigned line = 0;
    spaces(s, t->indent);
    for (unsigned i = 0; i < t->n; i++) {
        if (t->gone[i])
            continue;
        if (t->line[i] != line) {
            (void)putc('\n', s->out);
            spaces(s, t->indent + SCREEN_HANG);
        }
        line = t->line[i];
        put_cell(t, s, i, row ? &row[i] : NULL);
    }
    (void)putc('\n', s->out);
}

static void put_left_out(const struct columns *t, const struct screen *s) {
    char text[LEFT_OUT_TEXT] = "";
    size_t n = 0;
    for (unsigned i = 0; i < t->n && n < sizeof text; i++)
        if (t->gone[i])
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", t->column[i].title);
    if (n)
        wrap_printf(s, t->indent + SCREEN_HANG, "%*s(not shown, 0 in every row: %s)", (int)t->indent, "", text);
}

static void put_all(struct columns *t, const struct screen *s) {
    fit(t, s->width);
    put_row(t, s, NULL);
    for (size_t i = 0; i < t->cells;) {
        const struct cell *c = &t->cell[i];
        unsigned indent = c->column & ~NOTE;
        if (c->column & NOTE)
            wrap_printf(s, indent + SCREEN_HANG, "%*s%s", (int)indent, "", t->text + c->text);
        else if (t->cells - i >= t->n)
            put_row(t, s, c);
        i += c->column & NOTE ? 1 : t->n;
    }
    put_left_out(t, s);
}

void columns_print(struct columns *t, const struct screen *s) {
    if (t && !t->no_memory)
        put_all(t, s);
    else
        fputs("(no memory for this table)\n", s->out);
    if (t) {
        free(t->text);
        free(t->cell);
    }
    free(t);
}
