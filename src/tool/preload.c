#include "tool/preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/host/sanitizer.h"
#include "tool/host/shim.h"

static bool is_a_shim(const char *entry, size_t length) {
    static const char file[] = SHIM_NAME;
    size_t name = sizeof file - 1;
    if (length < name || strncmp(entry + length - name, file, name) != 0)
        return false;
    return length == name || entry[length - name - 1] == '/';
}

/* Appends entry, after a colon if it is not the first. at: the length so far. */
static void append(char *out, size_t *at, const char *entry, size_t length) {
    if (*at > 0)
        out[(*at)++] = ':';
    memcpy(out + *at, entry, length);
    *at += length;
}

/* The entries of current that are runtimes of sanitizers, or those that are not; never a shim. */
static bool append_some(char *out, size_t *at, const char *current, bool sanitizers) {
    bool any = false;
    while (*current) {
        size_t length = strcspn(current, ": ");
        if (length > 0 && !is_a_shim(current, length) && sanitizer_is(current, length) == sanitizers) {
            append(out, at, current, length);
            any = true;
        }
        current += length + (current[length] != 0);
    }
    return any;
}

char *preload_compose(const char *shim, const char *current, const char *sanitizer) {
    size_t at = 0;
    if (!current)
        current = "";
    char *out = malloc(strlen(shim) + strlen(current) + strlen(sanitizer) + 3);
    if (!out)
        return NULL;
    if (!append_some(out, &at, current, true) && sanitizer[0])
        append(out, &at, sanitizer, strlen(sanitizer));
    if (shim[0])
        append(out, &at, shim, strlen(shim));
    (void)append_some(out, &at, current, false);
    out[at] = 0;
    return out;
}

char *preload_value(enum preloadable program, const char *current, const char *sanitizer, char error[LOCATE_ERROR]) {
    char shim[LOCATE_PATH];
    if (!shim_entry(program, shim, error))
        return NULL;
    char *value = preload_compose(shim, current, sanitizer);
    if (!value)
        snprintf(error, LOCATE_ERROR, "no memory for LD_PRELOAD");
    return value;
}
