/* connspread prune: removes state files that nobody uses any more. By unlink: truncating one would kill whoever maps it
 * all the same, from where we cannot see. A client that starts in the very moment of the removal works on, unseen. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/dial.h"
#include "cli/stat_files.h"

static const char help[] =
    "usage: connspread prune [-n] [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Removes the dead files of the folder in which this instance's state file lies: those that no living process "
    "maps,\n"
    "of whatever instance and version. Their events, their counters and what connspread set has overridden go with\n"
    "them. Files that a process may use into which this user cannot look are left.\n"
    "\n"
    "  -n, --dry-run          only say what would be removed\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else /etc/connspread.conf, else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "In a container, processes of other containers that share the folder are seen only by the connections that they\n"
    "have open. Exits with 0, 1 if a file could not be removed, 2 for a usage error.\n";

static const struct option options[] = {
    {"dry-run", no_argument, NULL, 'n'},
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    const char *config, *instance;
    bool dry, help;
};

static bool take_arguments(int argc, char **argv, struct arguments *a) {
    int option;
    while ((option = getopt_long(argc, argv, "nc:i:h", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            a->dry = true;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 'i':
            a->instance = optarg;
            break;
        case 'h':
            a->help = true;
            return true;
        default:
            complain("prune: see connspread prune --help");
            return false;
        }
    }
    if (optind < argc)
        complain("prune: %s: it takes no argument; name an instance with -i", argv[optind]);
    return optind == argc;
}

static void print_override(const struct state_file *f) {
    struct state s;
    char text[DIAL_TEXT];
    int error;
    if (f->usable != STATE_OK || state_map(&s, f->path, false, true, &error) != STATE_OK)
        return;
    struct control c = control_unpack(__atomic_load_n(&s.header->control, __ATOMIC_RELAXED));
    if (c.has_mode || c.has_canary) {
        dial_text(text, c, NULL);
        printf("; with it goes the override: %s", text);
    }
    state_unmap(&s);
}

static bool prune(const struct state_file *f, bool dry) {
    char text[STATE_PATH];
    const char *reason = state_file_dead(f, text);
    if (!reason) {
        if (f->hidden && !f->users)
            printf("%s: left: %u process%s may use it that cannot be looked into\n", f->path, f->hidden,
                   f->hidden == 1 ? "" : "es");
        return true;
    }
    printf("%s: %s: %s", f->path, dry ? "would be removed" : "removed", reason);
    print_override(f);
    putchar('\n');
    if (dry || unlink(f->path) == 0 || errno == ENOENT)
        return true;
    complain("%s: cannot be removed after all: %s", f->path, strerror(errno));
    return false;
}

int prune_main(int argc, char **argv) {
    struct arguments a = {0};
    struct location where;
    struct state_files files;
    char error[LOCATE_ERROR];
    int status = EXIT_DONE;
    if (!take_arguments(argc, argv, &a))
        return EXIT_USAGE;
    if (a.help) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    if (!locate(&where, a.config, a.instance, error)) {
        complain("%s", error);
        return EXIT_USAGE;
    }
    if (!state_files_find(&files, where.folder, false)) {
        complain("no memory");
        return EXIT_FOUND;
    }
    for (size_t i = 0; i < files.n; i++)
        if (!prune(&files.file[i], a.dry))
            status = EXIT_FOUND;
    state_files_free(&files);
    return status;
}
