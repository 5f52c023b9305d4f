#include "tool/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/record/journal_path.h"
#include "tool/reader/state_files.h"
#include "state/control.h"
#include "state/copy.h"

static const char help[] =
    "usage: connspread prune [-n] [-f] [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Removes the dead files of the folder in which this instance's state file lies: those that no living process "
    "maps,\n"
    "of whatever instance and version; with -i those of that instance alone. Their events and counters go with them. A "
    "client that still had one mapped\n"
    "would work on, unseen by this tool. A recorder's journal goes with its state file.\n"
    "\n"
    "  -n, --dry-run          only say what would be removed\n"
    "  -f, --force            also those that hold an override of connspread set, or that a process may use into "
    "which\n"
    "                         this user cannot look; never those that are seen in use\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "In a container, processes of other containers that share the folder are seen only by the connections that they\n"
    "have open. Exits with 0, 1 if a file could not be removed, 2 for a usage error.\n";

static const struct option options[] = {
    {"dry-run", no_argument, NULL, 'n'},      {"force", no_argument, NULL, 'f'},
    {"config", required_argument, NULL, 'c'}, {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},         {0},
};

struct arguments {
    struct chosen chosen;
    bool dry, force;
    int folder; /* opened */
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    return option == 'n' ? (a->dry = true) : (a->force = true);
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"prune", help, "nfc:i:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc)
        warn("prune: %s: prune takes no argument; try: -i for an instance", argv[optind]);
    return optind == argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

/* What an operator has set must not end because nothing happens to run at the moment. */
static bool is_overridden(const struct state_file *f, char text[OVERRIDE_TEXT]) {
    struct state s;
    int error;
    if (f->usable != STATE_OK || !f->instance[0] || state_file_copy(f, &s, 0, &error) != STATE_OK)
        return false;
    struct control c = control_unpack(__atomic_load_n(&s.header->control, __ATOMIC_RELAXED));
    override_text(text, c, NULL);
    state_release(&s);
    return c.has_mode || c.has_canary;
}

static void leave(const struct state_file *f) {
    if (f->hidden && !f->users)
        say("%s: left: %u process%s may use it that cannot be looked into", f->path, f->hidden,
            f->hidden == 1 ? "" : "es");
}

/* From within the folder as it was opened: whatever is put in the way of its path meanwhile, nothing else is removed.
 */
static bool removed(const char *path, const struct arguments *a, const char *reason) {
    const char *slash = strrchr(path, '/');
    if (!a->dry && unlinkat(a->folder, slash ? slash + 1 : path, 0) != 0 && errno != ENOENT) {
        warn("%s: cannot be removed: %s", path, strerror(errno));
        return false;
    }
    say("%s: %s: %s", path, a->dry ? "would be removed" : "removed", reason);
    return true;
}

/* Its lock is what a recorder has as long as it lives. */
static bool prune_journal(const char *path, const struct arguments *a) {
    const char *slash = strrchr(path, '/');
    int fd = openat(a->folder, slash ? slash + 1 : path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    bool good = true;
    if (fd < 0)
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        good = removed(path, a, "a recorder's journal without a state file");
    (void)close(fd);
    return good;
}

/* Journals whose state file is gone, by us or before. pruned: state files that would be gone but for a dry run. */
static bool prune_journals(const char *folder, const struct state_files *files, const bool *pruned,
                           const struct arguments *a) {
    char pattern[STATE_PATH + 16], journal[STATE_PATH + 16], only[STATE_PATH + 16] = "";
    glob_t found;
    bool good = true;
    snprintf(pattern, sizeof pattern, "%s/*.recorder", folder);
    if (glob(pattern, GLOB_NOESCAPE, NULL, &found) != 0)
        return true;
    if (a->chosen.instance)
        snprintf(only, sizeof only, "%s/%s.recorder", folder, a->chosen.instance);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        bool needed = only[0] && strcmp(only, found.gl_pathv[i]) != 0;
        for (size_t j = 0; j < files->n; j++) {
            journal_path(journal, sizeof journal, files->file[j].path);
            needed = needed || (!pruned[j] && strcmp(journal, found.gl_pathv[i]) == 0);
        }
        if (!needed)
            good = prune_journal(found.gl_pathv[i], a) && good;
    }
    globfree(&found);
    return good;
}

/* False in *pruned: the file stays. Returns false when it should have gone. */
static bool prune(const struct state_file *f, const struct arguments *a, bool *pruned) {
    char text[STATE_PATH], override[OVERRIDE_TEXT];
    const char *reason = state_file_dead(f, a->force, text);
    if (!reason) {
        leave(f);
        return true;
    }
    if (is_overridden(f, override) && !a->force) {
        say("%s: left: %s, but it holds what connspread set has overridden: %s", f->path, reason, override);
        return true;
    }
    *pruned = removed(f->path, a, reason);
    return *pruned;
}

static bool is_meant(const struct arguments *a, const struct state_file *f) {
    return !a->chosen.instance || strcmp(a->chosen.instance, f->instance) == 0;
}

int prune_main(int argc, char **argv) {
    struct arguments a = {0};
    struct location where;
    struct state_files files;
    int status = EXIT_DONE;
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!arguments_locate(&a.chosen, &where))
        return EXIT_USAGE;
    a.folder = state_folder_open(where.folder);
    if (a.folder < 0 && errno != ENOENT) {
        warn("%s: %s", where.folder, errno == ENOTDIR ? "is no folder, or a symbolic link" : strerror(errno));
        return EXIT_FOUND;
    }
    if (!state_files_find(&files, where.folder, false)) {
        warn("no memory");
        return EXIT_FOUND;
    }
    bool *pruned = calloc(files.n + 1, sizeof *pruned);
    for (size_t i = 0; i < files.n && pruned; i++)
        if (is_meant(&a, &files.file[i]) && !prune(&files.file[i], &a, &pruned[i]))
            status = EXIT_FOUND;
    if (!pruned || !prune_journals(where.folder, &files, pruned, &a))
        status = EXIT_FOUND;
    free(pruned);
    state_files_warn(&files);
    state_files_free(&files);
    if (a.folder >= 0)
        (void)close(a.folder);
    return status;
}
