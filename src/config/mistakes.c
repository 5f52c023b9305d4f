#include "config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By line, and in the order of discovery within one: a stable insertion sort of at most MISTAKES_KEPT entries. */
static void sort(struct mistakes *m, int order[]) {
    for (int i = 0; i < m->kept; i++) {
        int at = i;
        for (; at > 0 && m->mistake[order[at - 1]].line > m->mistake[i].line; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static struct mistake *keep(struct mistakes *m, int line, const char *format, va_list arguments) {
    if (m->kept == MISTAKES_KEPT)
        return NULL;
    struct mistake *new = &m->mistake[m->kept++];
    vsnprintf(new->text, sizeof new->text, format, arguments);
    new->line = line;
    for (unsigned char *c = (unsigned char *)new->text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
    return new;
}

void mistake_add(struct mistakes *m, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)keep(m, line, format, arguments);
    va_end(arguments);
    m->count++;
}

void mistake_note(struct mistakes *m, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    struct mistake *new = keep(m, line, format, arguments);
    va_end(arguments);
    if (new)
        new->note = true;
}

void mistakes_truncate(struct mistakes *m, int count) {
    m->count = count;
    if (m->kept > count)
        m->kept = count;
}

int mistakes_write(struct mistakes *m, const char *file, char *errors, size_t size) {
    int order[MISTAKES_KEPT] = {0};
    size_t used = 0;
    sort(m, order);
    if (size > 0)
        errors[0] = '\0';
    for (int i = 0; i < m->kept && used < size; i++) {
        const struct mistake *one = &m->mistake[order[i]];
        if (one->note && m->count > 0)
            continue;
        char where[16] = "";
        if (one->line > 0)
            snprintf(where, sizeof where, "%d:", one->line);
        int length = snprintf(errors + used, size - used, "%s:%s %s\n", file, where, one->text);
        if (length < 0 || (size_t)length >= size - used) {
            if (used > 0)
                errors[used] = '\0';
            break;
        }
        used += (size_t)length;
    }
    return m->count;
}
