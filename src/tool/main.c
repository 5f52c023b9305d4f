/* connspread: one table of commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text/edits.h"
#include "tool/common/children.h"
#include "tool/common/message.h"
#include "tool/screen/help.h"
#include "tool/screen/wrap.h"
#include "tool/run.h"
#include "tool/check/check.h"
#include "tool/log/log.h"
#include "tool/stat/stat.h"
#include "tool/report.h"
#include "tool/ls.h"
#include "tool/set.h"
#include "tool/reap.h"
#include "tool/record/record.h"
#include "tool/reload.h"
#include "tool/prune.h"
#include "tool/quads/quads.h"
#include "tool/doctor/doctor.h"
#include "tool/install.h"

static const struct command {
    const char *name, *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"run", "run a program with its connections spread and its closes logged", run_main},
    {"check", "validate a config and show what its rules can carry", check_main},
    {"log", "print the events of an instance, or follow them", log_main},
    {"stat", "what each arm did under each rule from each source; canary against control", stat_main},
    {"report", "what failed with EADDRNOTAVAIL, why, and what to do about it", report_main},
    {"record", "write the events of an instance to log.file, as they come", record_main},
    {"ls", "list the instances: clients, mode, folder", ls_main},
    {"set", "override mode and canary of running clients, or end that", set_main},
    {"reload", "compile the config anew and hand it to running clients", reload_main},
    {"reap", "write down what killed processes left open, where no recorder does", reap_main},
    {"prune", "remove state files that no process uses any more", prune_main},
    {"quads", "how full the quadruplets of each source and destination are, now", quads_main},
    {"doctor", "what on this host makes connects fail, and whether a program can be preloaded", doctor_main},
    {"install", "copy shims and static tool into a folder for containers without them", install_main},
};
enum { COMMANDS = sizeof commands / sizeof commands[0], NAME_MAX_LENGTH = 31 };

static void print_commands(const struct screen *to) {
    fputs("commands:\n", to->out);
    for (unsigned i = 0; i < COMMANDS; i++)
        wrap_printf(to, 11, "  %-8s %s", commands[i].name, commands[i].summary);
}

static void print_help(void) {
    const struct screen to = screen_stdout();
    help_print(&to, "usage: connspread COMMAND [ARGUMENT...]\n"
                    "\n"
                    "Spreads a program's outbound TCP connections over source addresses and ports, retries on "
                    "EADDRNOTAVAIL,\n"
                    "and logs every close that leaves a TIME-WAIT socket on this host.\n"
                    "\n");
    print_commands(&to);
    help_print(&to, "\n  connspread COMMAND --help    for each of them\n"
                    "  connspread --version\n");
}

static void print_next_steps(void) {
    const struct screen to = screen_stdout();
    help_print(&to, "connspread " VERSION ": what to do next\n"
                    "\n"
                    "  connspread doctor PROGRAM    what of this host is in the way; whether PROGRAM can be preloaded\n"
                    "  connspread quads             how full the source ports of this host are, now\n"
                    "  connspread check             what this host's config can carry, and what is wrong with it\n"
                    "  connspread run -- PROGRAM    run a program under it\n"
                    "  connspread log -f            watch which of its closes leave TIME-WAIT sockets\n"
                    "  connspread report            after a failure: what ran out, why, and what to do about it\n"
                    "  connspread --help            all commands; man connspread tells more\n");
}

static const struct command *find(const char *name) {
    for (unsigned i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *name) {
    const struct command *nearest = &commands[0];
    for (unsigned i = 1; i < COMMANDS; i++)
        if (edits_between(name, commands[i].name) < edits_between(name, nearest->name))
            nearest = &commands[i];
    if (name[0] == '-')
        warn("%s: there is no such option; try: connspread --help", name);
    else if (edits_between(name, nearest->name) < strlen(nearest->name))
        warn("%s: there is no such command; try: %s, or connspread --help", name, nearest->name);
    else
        warn("%s: there is no such command; try: connspread --help", name);
    return EXIT_USAGE;
}

/* getopt names argv[0] in its messages. */
static int call(const struct command *c, int argc, char **argv) {
    static char name[NAME_MAX_LENGTH + sizeof "connspread "];
    snprintf(name, sizeof name, "connspread %s", c->name);
    argv[0] = name;
    return c->main(argc, argv);
}

/* An answer that did not reach its reader is no success; a reader that went away, as head does, asked for no more. */
static int finish(int status) {
    int earlier = errno; /* of a command that ended because of it */
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return status;
    if (flushed)
        errno = earlier;
    if (errno == EPIPE)
        return status;
    warn("cannot write the answer: %s", strerror(errno));
    return status ? status : EXIT_FOUND;
}

/* A descriptor that the caller has closed must not become a file of ours, into which messages would go. The place is
 * kept by one that fails as a closed one does, and is closed for what `run` executes. */
static void keep_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC); /* the lowest: fd itself */
}

int main(int argc, char **argv) {
    keep_standard_descriptors();
    children_can_be_waited_for();
    const char *name = argc > 1 ? argv[1] : NULL;
    const struct command *c = name ? find(name) : NULL;
    int status = EXIT_DONE;
    if (c)
        status = call(c, argc - 1, argv + 1);
    else if (!name)
        print_next_steps();
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        print_help();
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        puts("connspread " VERSION);
    else
        status = unknown(name);
    return finish(status);
}
