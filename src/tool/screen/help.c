#include "tool/screen/help.h"

#include <stdlib.h>
#include <string.h>

#include "tool/screen/cells.h"
#include "tool/screen/wrap.h"

enum { PARAGRAPH = 4096 };

struct line {
    const char *text;
    size_t length;
    unsigned indent;
};

static struct line line_at(const char *text) {
    return (struct line){text, strcspn(text, "\n"), (unsigned)strspn(text, " ")};
}

static const char *after(struct line l) {
    return l.text[l.length] ? l.text + l.length + 1 : l.text + l.length;
}

static bool fits(const char *text, unsigned width) {
    for (struct line l = line_at(text); *l.text; l = line_at(after(l)))
        if (cells_width(l.text, l.length) > width)
            return false;
    return true;
}

/* Where the description of an option begins, or of a command: behind two spaces at least. The indent where there is
 * none. */
static unsigned description(struct line l) {
    for (size_t i = l.indent; i + 2 < l.length; i++)
        if (l.text[i] == ' ' && l.text[i + 1] == ' ')
            return (unsigned)(i + strspn(l.text + i, " "));
    return l.indent;
}

static bool is_usage(struct line l) {
    return strncmp(l.text, "usage:", 6) == 0;
}

/* Does it go on with what the paragraph said, of which last is the last line? A full stop ends a line that shall end.
 */
static bool goes_on(struct line first, struct line last, struct line next) {
    bool option = next.length > next.indent && next.text[next.indent] == '-';
    return first.length > 0 && next.length > 0 && last.text[last.length - 1] != '.' &&
           next.indent == description(first) && (next.indent == 0 || !option) && description(next) == next.indent;
}

/* The lines of a usage go on where the next one begins, or where this one does. */
static unsigned usage_hang(struct line l) {
    struct line next = line_at(after(l));
    bool another = strncmp(next.text + next.indent, "connspread", strlen("connspread")) == 0;
    return next.indent > l.indent && !another ? next.indent : l.indent ? l.indent : 2 * SCREEN_HANG;
}

/* Returns what follows it. join: its lines are one text. */
static const char *print_paragraph(const struct screen *s, struct line first, unsigned hang, bool join) {
    char text[PARAGRAPH];
    size_t n = first.length < sizeof text ? first.length : sizeof text - 1;
    memcpy(text, first.text, n);
    struct line last = first, next = line_at(after(first));
    while (join && goes_on(first, last, next) && n + 1 + next.length < sizeof text - 1) {
        text[n++] = ' ';
        memcpy(text + n, next.text + next.indent, next.length - next.indent);
        n += next.length - next.indent;
        last = next;
        next = line_at(after(next));
    }
    text[n] = '\0';
    wrap_print(s, text, hang);
    return next.text;
}

void help_print(const struct screen *s, const char *text) {
    if (s->width == 0 || fits(text, s->width)) {
        fputs(text, s->out);
        return;
    }
    bool usage = false;
    while (*text) {
        struct line l = line_at(text);
        usage = l.length > 0 && (usage || is_usage(l));
        text = print_paragraph(s, l, usage ? usage_hang(l) : description(l), !usage);
    }
}
