#include "tool/host/wrapper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 1 << 20 };

static const char name[] = "LD_PRELOAD";

bool wrapper_program_overwrites(const char *bytes, size_t n) {
    static const char whole[] = "LD_PRELOAD=/";
    return memmem(bytes, n, whole, sizeof whole - 1) != NULL;
}

/* What an assignment gives, up to its end: of the line, or of the command. Empty for LD_PRELOAD= and LD_PRELOAD="". */
static bool gives_something(const char *value, size_t n) {
    size_t i = 0;
    while (i < n && (value[i] == '"' || value[i] == '\''))
        i++;
    return i < n && !strchr(" \t\n;&|)", value[i]);
}

static bool reads_it(const char *text, size_t n) {
    static const char plain[] = "$LD_PRELOAD", braces[] = "${LD_PRELOAD";
    return memmem(text, n, plain, sizeof plain - 1) || memmem(text, n, braces, sizeof braces - 1);
}

bool wrapper_script_overwrites(const char *text, size_t n) {
    const char *end = text + n, *line = text;
    if (reads_it(text, n))
        return false;
    for (const char *next; line < end; line = next) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        next = feed ? feed + 1 : end;
        const char *code = line + strspn(line, " \t");
        const char *at = *code == '#' ? NULL : memmem(line, (size_t)(next - line), name, sizeof name - 1);
        if (!at || at + sizeof name > next || at[sizeof name - 1] != '=' || (at > line && at[-1] == '_'))
            continue;
        if (gives_something(at + sizeof name, (size_t)(next - at) - sizeof name))
            return true;
    }
    return false;
}

bool wrapper_overwrites(const char *path) {
    struct stat st;
    bool overwrites = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= BYTES) {
        char *bytes = malloc(BYTES + 1);
        ssize_t n = bytes ? pread(fd, bytes, BYTES, 0) : 0;
        if (n > 0) {
            bytes[n] = 0;
            overwrites = n > 2 && memcmp(bytes, "#!", 2) == 0 ? wrapper_script_overwrites(bytes, (size_t)n)
                                                              : wrapper_program_overwrites(bytes, (size_t)n);
        }
        free(bytes);
    }
    (void)close(fd);
    return overwrites;
}
