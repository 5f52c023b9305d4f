#include "tool/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/host/sanitizer.h"

#define SHIM_NAME "libconnspread.so"
#ifndef SHIM_DIR
#define SHIM_DIR "/usr/local/lib/connspread"
#endif
#ifndef SHIM_PRELOAD
#define SHIM_PRELOAD SHIM_DIR "/" SHIM_NAME
#endif

static const char installed[] = SHIM_DIR "/" SHIM_NAME;

/* How the installed one stands in LD_PRELOAD: with ld.so's $LIB, where shims of both word sizes are installed so. */
static const char installed_preload[] = SHIM_PRELOAD;

/* What the dynamic linker splits LD_PRELOAD at, and what it expands in it. */
static const char unusable[] = " :$";

static bool beside_this_program(char out[LOCATE_PATH]) {
    ssize_t n = readlink("/proc/self/exe", out, LOCATE_PATH - sizeof SHIM_NAME);
    if (n <= 0)
        return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    memcpy(slash + 1, SHIM_NAME, sizeof SHIM_NAME);
    return true;
}

bool shim_path(char out[LOCATE_PATH], char error[LOCATE_ERROR]) {
    char beside[LOCATE_PATH];
    bool has_beside = beside_this_program(beside);
    if (has_beside && access(beside, R_OK) == 0) {
        memcpy(out, beside, LOCATE_PATH);
    } else if (access(installed, R_OK) == 0) {
        memcpy(out, installed, sizeof installed);
    } else {
        snprintf(error, LOCATE_ERROR, "the shim is missing: it must be %.2000s or %s; try: make, or make install",
                 has_beside ? beside : "beside this program", installed);
        return false;
    }
    if (out[strcspn(out, unusable)] == 0)
        return true;
    snprintf(
        error, LOCATE_ERROR,
        "%.3900s: a path with a space, ':' or '$' cannot stand in LD_PRELOAD; try: move it to a folder without them",
        out);
    return false;
}

bool shim_for_other_class(void) {
#if defined(__x86_64__)
    static const char other[] = "/usr/lib/i386-linux-gnu/connspread/" SHIM_NAME;
#elif defined(__i386__)
    static const char other[] = "/usr/lib/x86_64-linux-gnu/connspread/" SHIM_NAME;
#else
    static const char other[] = "";
#endif
    char shim[LOCATE_PATH], error[LOCATE_ERROR];
    return strchr(installed_preload, '$') && shim_path(shim, error) && strcmp(shim, installed) == 0 &&
           access(other, R_OK) == 0;
}

static bool is_a_shim(const char *entry, size_t length) {
    size_t name = sizeof SHIM_NAME - 1;
    if (length < name || strncmp(entry + length - name, SHIM_NAME, name) != 0)
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
    append(out, &at, shim, strlen(shim));
    (void)append_some(out, &at, current, false);
    out[at] = 0;
    return out;
}

char *preload_value(const char *current, const char *sanitizer, char error[LOCATE_ERROR]) {
    char shim[LOCATE_PATH];
    if (!shim_path(shim, error))
        return NULL;
    char *value = preload_compose(strcmp(shim, installed) == 0 ? installed_preload : shim, current, sanitizer);
    if (!value)
        snprintf(error, LOCATE_ERROR, "no memory for LD_PRELOAD");
    return value;
}
