/* connspread install: the shims, and a tool that needs no library, into a folder that another container mounts. */
#include "tool/install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/host/preloadable.h"
#include "tool/host/shim.h"

static const char help[] =
    "usage: connspread install --to DIR [PROGRAM]\n"
    "\n"
    "Copies the shims and, where one was built, the statically linked tool into DIR, for programs of images that have\n"
    "nothing else: an init container fills a volume, and the client's container mounts it. Prints the LD_PRELOAD that "
    "a\n"
    "client needs there. Files are replaced by rename: running clients keep theirs.\n"
    "\n"
    "  -t, --to DIR    made if it is missing; no ' ', ':' or '$' in it\n"
    "\n"
    "With PROGRAM only the shim that its loader takes, of glibc or musl; without, each that there is.\n"
    "Exits with 0, 1 if something cannot be copied or PROGRAM not be served, 2 for a usage error.\n";

static const struct option options[] = {
    {"to", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

#define STATIC_TOOL "connspread-static"
static const char tool_name[] = "connspread";

struct arguments {
    const char *to, *program;
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* --to is the only one */
    a->to = optarg;
    return true;
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"install", help, "t:h", options, parse_option};
    struct chosen none = {0};
    int wrong = arguments_read(&line, argc, argv, &none, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!a->to || !a->to[0]) {
        warn("install: no folder; try: connspread install --to DIR");
        return EXIT_USAGE;
    }
    if (argc - optind > 1) {
        warn("install: %s: it takes one program; try: once for each", argv[optind + 1]);
        return EXIT_USAGE;
    }
    a->program = argv[optind];
    return ARGUMENTS_GOOD;
}

static bool copy_bytes(int from, int to) {
    char buffer[64 << 10];
    for (ssize_t n; (n = read(from, buffer, sizeof buffer)) != 0;) {
        if (n < 0)
            return false;
        for (ssize_t done = 0, wrote; done < n; done += wrote)
            if ((wrote = write(to, buffer + done, (size_t)(n - done))) < 0)
                return false;
    }
    return true;
}

static const char *remedy(int error) {
    switch (error) {
    case ENOENT:
        return "make the folder above it first";
    case EACCES:
    case EPERM:
    case EROFS:
        return "a folder that this user may write to";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "make room there, or another folder";
    default:
        return "another folder";
    }
}

/* Whole under its name, or not there. Its first name is drawn: in a container each process has the same number, and
 * what one left that was killed must not stop the next. */
static bool copy(const char *from, const char *to, mode_t mode) {
    char new[LOCATE_PATH + 16];
    if (preloadable(from) == PRELOAD_UNREADABLE) {
        warn("%s is no library and no program, so it is not copied; try: make, or make install, once more", from);
        return false;
    }
    (void)snprintf(new, sizeof new, "%s.XXXXXX", to);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : mkostemp(new, O_CLOEXEC);
    bool good = out >= 0 && copy_bytes(in, out) && fchmod(out, mode) == 0;
    good = (out < 0 || close(out) == 0) && good && rename(new, to) == 0;
    int error = errno;
    if (!good && out >= 0)
        (void)unlink(new);
    if (in >= 0)
        (void)close(in);
    if (!good)
        warn("%s cannot be copied to %s: %s; try: %s", from, to, strerror(error), remedy(error));
    return good;
}

/* For clients of every user, whatever the umask of this one; a folder that is there stays as it is. */
static bool make_folder(const char *path) {
    if ((mkdir(path, 0755) == 0 && chmod(path, 0755) == 0) || errno == EEXIST)
        return true;
    warn("%s cannot be made: %s; try: %s", path, strerror(errno), remedy(errno));
    return false;
}

static bool is_usable(const char *folder) {
    if (!folder[strcspn(folder, shim_unusable)])
        return true;
    warn("install: %s: a path with a space, ':' or '$' cannot stand in LD_PRELOAD; try: another folder", folder);
    return false;
}

static bool name_in(char out[LOCATE_PATH], const char *folder, const char *name) {
    int n = snprintf(out, LOCATE_PATH, "%s/%s", folder, name);
    if (n > 0 && n < LOCATE_PATH)
        return true;
    warn("%s: the path is too long; try: a shorter one", folder);
    return false;
}

/* Prints what LD_PRELOAD must be for programs of that C library. */
static bool put_shim(const char *folder, const char *from, const char *name, const char *libc) {
    char to[LOCATE_PATH];
    bool good = name_in(to, folder, name) && copy(from, to, 0644);
    if (good)
        printf("LD_PRELOAD=%s  # %s\n", to, libc);
    return good;
}

static bool put_other_shim(const char *folder, const char *from) {
    char to[LOCATE_PATH];
    return name_in(to, folder, SHIM_OTHER_LIBC) && make_folder(to) &&
           put_shim(folder, from, SHIM_OTHER_LIBC "/" SHIM_NAME, SHIM_OTHER_LIBC);
}

static bool put_shims(const struct arguments *a, const char *folder, enum preloadable program) {
    char own[LOCATE_PATH], other[LOCATE_PATH], error[LOCATE_ERROR];
    bool has_other = shim_companion(other, SHIM_OTHER_LIBC "/" SHIM_NAME);
    if (!shim_path(own, error)) {
        warn("%s", error);
        return false;
    }
    if (a->program && program == PRELOAD_OTHER_LIBC && !has_other) {
        warn("install: %s is a program of " SHIM_OTHER_LIBC ", and there is no shim for that; try: make musl, or build "
             "connspread there",
             a->program);
        return false;
    }
    bool wants_own = program != PRELOAD_OTHER_LIBC, wants_other = !a->program || !wants_own;
    return (!wants_own || put_shim(folder, own, SHIM_NAME, SHIM_OWN_LIBC)) &&
           (!wants_other || !has_other || put_other_shim(folder, other));
}

/* A tool that needs libraries would not start where there are none. */
static bool put_tool(const char *folder) {
    char from[LOCATE_PATH] = "", to[LOCATE_PATH];
    ssize_t n = -1;
    if (preloadable("/proc/self/exe") == PRELOAD_STATIC)
        n = readlink("/proc/self/exe", from, sizeof from - 1);
    if (n > 0)
        from[n] = 0;
    else if (!shim_companion(from, STATIC_TOOL)) {
        warn("no statically linked tool was built, so none is copied: clients can be preloaded, and read a config only "
             "where libconfuse is; try: make static");
        return true;
    }
    return name_in(to, folder, tool_name) && copy(from, to, 0755);
}

int install_main(int argc, char **argv) {
    struct arguments a = {0};
    char folder[PATH_MAX], path[PRELOADABLE_PATH];
    enum preloadable program = PRELOAD_OK;
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (a.program && !find_program(path, a.program)) {
        warn("install: %s: there is no such program; try: its path", a.program);
        return EXIT_USAGE;
    }
    if (a.program) {
        program = preloadable(path);
        const char *why = program == PRELOAD_OTHER_LIBC ? NULL : preloadable_text(program);
        if (why) {
            warn("install: %s %s", path, why);
            return EXIT_FOUND;
        }
    }
    if (!is_usable(a.to))
        return EXIT_USAGE;
    (void)signal(SIGXFSZ, SIG_IGN); /* too large for this user: an error that is said */
    if (!make_folder(a.to))
        return EXIT_FOUND;
    if (!realpath(a.to, folder)) {
        warn("install: %s: %s; try: another folder", a.to, strerror(errno));
        return EXIT_FOUND;
    }
    if (!is_usable(folder))
        return EXIT_USAGE;
    return put_shims(&a, folder, program) && put_tool(folder) ? EXIT_DONE : EXIT_FOUND;
}
