#include "tool/host/shim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SHIM_DIR
#define SHIM_DIR "/usr/local/lib/connspread"
#endif
#ifndef SHIM_PRELOAD
#define SHIM_PRELOAD SHIM_DIR "/" SHIM_NAME
#endif

static const char installed[] = SHIM_DIR "/" SHIM_NAME;

/* How the installed one stands in LD_PRELOAD: with ld.so's $LIB, where shims of both word sizes are installed so. */
static const char installed_preload[] = SHIM_PRELOAD;

const char shim_unusable[] = " :$";

/* The folder of path becomes that of another file in it. */
static bool beside(char path[LOCATE_PATH], const char *name) {
    char *slash = strrchr(path, '/');
    size_t n = strlen(name) + 1;
    if (!slash || (size_t)(slash + 1 - path) + n > LOCATE_PATH)
        return false;
    memcpy(slash + 1, name, n);
    return true;
}

static bool beside_this_program(char out[LOCATE_PATH]) {
    ssize_t n = readlink("/proc/self/exe", out, LOCATE_PATH - 1);
    if (n <= 0)
        return false;
    out[n] = 0;
    return beside(out, SHIM_NAME);
}

bool shim_path(char out[LOCATE_PATH], char error[LOCATE_ERROR]) {
    char first[LOCATE_PATH];
    bool has_first = beside_this_program(first);
    if (has_first && access(first, R_OK) == 0) {
        memcpy(out, first, LOCATE_PATH);
    } else if (access(installed, R_OK) == 0) {
        memcpy(out, installed, sizeof installed);
    } else {
        snprintf(error, LOCATE_ERROR, "the shim is missing: it must be %.2000s or %s; try: make, or make install",
                 has_first ? first : "beside this program", installed);
        return false;
    }
    if (out[strcspn(out, shim_unusable)] == 0)
        return true;
    snprintf(
        error, LOCATE_ERROR,
        "%.3900s: a path with a space, ':' or '$' cannot stand in LD_PRELOAD; try: move it to a folder without them",
        out);
    return false;
}

bool shim_companion(char out[LOCATE_PATH], const char *name) {
    char error[LOCATE_ERROR];
    return shim_path(out, error) && beside(out, name) && access(out, R_OK) == 0;
}

/* The $LIB of an installed shim's LD_PRELOAD leads to it (Debian's multiarch folders). */
static bool for_other_class(void) {
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

static bool for_other_libc(char out[LOCATE_PATH]) {
    return shim_companion(out, SHIM_OTHER_LIBC "/" SHIM_NAME);
}

bool shim_serves(enum preloadable program) {
    char other[LOCATE_PATH];
    return (program == PRELOAD_OTHER_CLASS && for_other_class()) ||
           (program == PRELOAD_OTHER_LIBC && for_other_libc(other));
}

bool shim_entry(enum preloadable program, char out[LOCATE_PATH], char error[LOCATE_ERROR]) {
    if (!shim_path(out, error))
        return false;
    if (program == PRELOAD_OTHER_LIBC) {
        if (!for_other_libc(out))
            out[0] = 0;
    } else if (strcmp(out, installed) == 0) {
        memcpy(out, installed_preload, sizeof installed_preload);
    }
    return true;
}
