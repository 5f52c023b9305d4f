#include "tool/log/last.h"

#include <stdlib.h>
#include <string.h>

bool last_add(struct last_lines *l, const char *text, size_t length) {
    if (!l->line)
        l->line = calloc(l->max, sizeof *l->line);
    if (!l->length)
        l->length = calloc(l->max, sizeof *l->length);
    if (!l->line || !l->length)
        return false;
    size_t at = l->count % l->max;
    char *copy = realloc(l->line[at], length + 1);
    if (!copy)
        return false;
    memcpy(copy, text, length);
    l->line[at] = copy;
    l->length[at] = length;
    l->count++;
    return true;
}

void last_print(struct last_lines *l, FILE *out) {
    size_t kept = l->count < l->max ? l->count : l->max;
    for (size_t i = l->count - kept; i < l->count; i++)
        (void)fwrite(l->line[i % l->max], 1, l->length[i % l->max], out);
    for (size_t i = 0; i < kept; i++)
        free(l->line[i]);
    free(l->line);
    free(l->length);
    *l = (struct last_lines){0};
}
