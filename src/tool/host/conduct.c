#include "tool/host/conduct.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/host/image.h"
#include "tool/host/linker.h"
#include "tool/host/preloadable.h"

struct wanted {
    bool known; /* at least the program's own names could be read */
    bool ends;  /* connect, close, or what could stand for them, or what could load or start others that do */
    bool uring, clears;
};

static bool is_one_of(const char *name, const char *const list[], size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static void note(void *context, const char *name) {
    static const char *const ends[] = {"connect", "close", "fclose",  "dlopen",      "execve",       "execv",  "execvp",
                                       "execvpe", "execl", "execlp",  "posix_spawn", "posix_spawnp", "fork",   "vfork",
                                       "system",  "popen", "freopen", "close_range", "accept",       "accept4"};
    struct wanted *w = context;
    w->ends = w->ends || is_one_of(name, ends, sizeof ends / sizeof *ends);
    w->uring = w->uring || strncmp(name, "io_uring_", 9) == 0;
    w->clears = w->clears || strcmp(name, "clearenv") == 0;
}

/* The C library and the linker have all of these. */
static bool is_libc(const char *path) {
    static const char *const stem[] = {"libc.so",  "libc-", "libc.musl-", "ld-linux",
                                       "ld-musl-", "ld.so", "ld-2",       "libpthread"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof stem / sizeof *stem; i++)
        if (strncmp(name, stem[i], strlen(stem[i])) == 0)
            return true;
    return false;
}

static void look_at(void *context, const char *path) {
    struct wanted *w = context;
    struct image m;
    if (is_libc(path))
        return;
    w->uring = w->uring || strstr(path, "/liburing.so");
    if (image_open(&m, path))
        (void)image_imports(&m, note, w);
    image_close(&m);
}

static bool is_own_setuid(const char *file) {
    struct stat st;
    return stat(file, &st) == 0 && st.st_mode & S_ISUID && st.st_uid == getuid();
}

unsigned conduct_of(const char *path) {
    char file[PRELOADABLE_PATH], linker[PRELOADABLE_LINKER];
    struct wanted w = {0}, libraries = {0};
    struct image m;
    if (!preloadable_file(path, file, linker))
        return 0;
    w.known = image_open(&m, file) && image_imports(&m, note, &w);
    image_close(&m);
    bool listed = w.known && linker_list(path, NULL, look_at, &libraries);
    return (w.uring || libraries.uring ? CONDUCT_IO_URING : 0u) |
           (listed && !w.ends && !libraries.ends ? CONDUCT_RAW : 0u) | (is_own_setuid(file) ? CONDUCT_SETUID : 0u) |
           (w.clears ? CONDUCT_CLEARS : 0u);
}

unsigned conduct_of_command(const char *path, char *const *argv) {
    static const char *const always[] = {"sudo", "doas", "systemd-run", "machinectl"};
    static const char *const asked[] = {"-", "-i", "--ignore-environment", "-l", "--login", "--reset-env"};
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    unsigned found = conduct_of(path);
    bool can = found & CONDUCT_CLEARS || strcmp(name, "env") == 0;
    bool does = is_one_of(name, always, sizeof always / sizeof *always);
    for (int i = 1; can && argv[i] && argv[i][0] == '-'; i++)
        does = does || is_one_of(argv[i], asked, sizeof asked / sizeof *asked);
    return (found & ~(unsigned)CONDUCT_CLEARS) | (does ? CONDUCT_CLEARS : 0u);
}

const char *conduct_text(enum conduct c) {
    switch (c) {
    case CONDUCT_IO_URING:
        return "can use io_uring: what it connects and closes by that goes past every preloaded library";
    case CONDUCT_RAW:
        return "asks the C library for neither connect nor close, nor do its libraries: if it makes connections, it "
               "makes "
               "the system calls itself, past every preloaded library";
    case CONDUCT_SETUID:
        return "is setuid: what it executes of itself as another user ignores LD_PRELOAD";
    case CONDUCT_CLEARS:
        return "may clear the environment: what it starts then runs without the library";
    }
    return "";
}

const char *conduct_remedy(enum conduct c) {
    switch (c) {
    case CONDUCT_IO_URING:
        return "Run it with connspread run --supervise, or turn io_uring off in the program (its own setting, or "
               "sysctl kernel.io_uring_disabled=2), if quads "
               "shows "
               "connections that log does not have.";
    case CONDUCT_RAW:
        return "Run it with connspread run --supervise, or use a build of it that calls the C library, or its own "
               "setting for source addresses.";
    case CONDUCT_SETUID:
        return "Start it as the user that it becomes.";
    case CONDUCT_CLEARS:
        return "Put connspread run behind it, before the program itself: sudo connspread run -- PROGRAM.";
    }
    return "";
}
