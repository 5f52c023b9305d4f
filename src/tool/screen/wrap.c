#include "tool/screen/wrap.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool/screen/cells.h"

/* Bytes of the next line: all that fits, up to the last space in it. At least one character. */
static size_t next_piece(const char *text, size_t length, unsigned room) {
    size_t fits = cells_fit(text, length, room), cut = fits;
    unsigned columns;
    if (fits == length)
        return length;
    while (cut > 0 && text[cut] != ' ')
        cut--;
    if (strspn(text, " ") >= cut) /* only the indent would be left */
        cut = fits;
    return cut ? cut : cells_next(text, length, &columns);
}

/* The part of it that is painted may begin or end inside. */
static void put_piece(const struct screen *s, const char *text, size_t length, struct wrap_paint paint) {
    size_t from = paint.from < length ? paint.from : length;
    size_t end = paint.from + paint.length < length ? paint.from + paint.length : length;
    (void)fwrite(text, 1, from, s->out);
    screen_paint(s, paint.colour, text + from, end - from);
    (void)fwrite(text + end, 1, length - end, s->out);
}

static void put_line(const struct screen *s, const char *text, size_t length, unsigned hang, struct wrap_paint paint) {
    unsigned room = s->width;
    for (size_t done = 0; done < length;) {
        size_t n = room ? next_piece(text + done, length - done, room) : length;
        struct wrap_paint here = paint;
        here.from = paint.from > done ? paint.from - done : 0;
        here.length = paint.from + paint.length > done + here.from ? paint.from + paint.length - done - here.from : 0;
        if (done)
            fprintf(s->out, "\n%*s", (int)hang, "");
        put_piece(s, text + done, n, here);
        done += n;
        while (done < length && text[done] == ' ')
            done++;
        room = s->width - hang;
    }
}

void wrap_print_painted(const struct screen *s, const char *text, unsigned hang, struct wrap_paint paint) {
    hang = hang > s->width / 2 ? SCREEN_HANG : hang;
    for (;;) {
        size_t length = strcspn(text, "\n");
        put_line(s, text, length, hang, paint);
        (void)putc('\n', s->out);
        if (!text[length] || !text[length + 1])
            return;
        text += length + 1;
        paint = (struct wrap_paint){0};
    }
}

void wrap_print(const struct screen *s, const char *text, unsigned hang) {
    wrap_print_painted(s, text, hang, (struct wrap_paint){0});
}

void wrap_cut(const struct screen *s, const char *text, struct wrap_paint paint) {
    size_t length = strcspn(text, "\n");
    put_piece(s, text, s->width ? cells_fit(text, length, s->width) : length, paint);
    (void)putc('\n', s->out);
}

void wrap_printf(const struct screen *s, unsigned hang, const char *format, ...) {
    char *text = NULL;
    va_list blanks;
    va_start(blanks, format);
    if (vasprintf(&text, format, blanks) < 0)
        text = NULL;
    va_end(blanks);
    if (text)
        wrap_print(s, text, hang);
    else
        fputs("(no memory)\n", s->out);
    free(text);
}
