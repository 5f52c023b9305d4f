#include "tool/record/record.h"

#include <stdio.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/locate.h"
#include "tool/common/message.h"
#include "tool/common/rights.h"
#include "tool/common/stop.h"
#include "tool/reader/instances_say.h"
#include "tool/reader/source.h"
#include "tool/record/recorder.h"
#include "tool/record/wanted.h"

enum { OPTION_KEEP = 256, POLL_US = 50000 };

static const char help[] =
    "usage: connspread record [--keep] [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Writes the events of an instance into the file that log.file in its config names, as JSON Lines, as they come "
    "and\n"
    "until the last client has gone; also what killed processes left. There is one recorder an instance: connspread\n"
    "run starts it. The file may be rotated. What was lost is an event in it.\n"
    "\n"
    "      --keep             go on when the last client has gone (for a service manager)\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "Exits with 0, 1 if the state file cannot be used or log.file not be written, 2 for a usage error or without\n"
    "log.file.\n";

static const struct option options[] = {
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    bool keep;
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* --keep is the only one */
    return a->keep = true;
}

static int cannot_use(const struct location *where, enum state_error result, int error) {
    warn("%s: %s", where->state_file, state_error_text(result, error));
    return EXIT_FOUND;
}

/* As root, of another user's file: into log.file of the config that root named, and all else with that user's rights.
 */
static int record_for_owner(const struct location *where, bool keep) {
    char log_file[RECORD_PATH];
    struct source s;
    int error = 0;
    if (!record_named(where, log_file))
        return EXIT_USAGE;
    if (!rights_of_folder(where->folder))
        return EXIT_FOUND;
    enum state_error result = source_write(&s, where->state_file, &error);
    return result == STATE_OK ? record_to_file(&s, where->state_file, log_file, keep)
                              : cannot_use(where, result, error);
}

static int record_own(struct source *s, const struct location *where, bool keep) {
    char log_file[RECORD_PATH];
    if (record_wanted(&s->state, log_file))
        return record_to_file(s, where->state_file, NULL, keep);
    source_close(s);
    warn("record: %s names no log.file, so there is nothing to write to; try: log { file = \"/PATH\" } and "
         "connspread reload, or connspread log -f",
         where->config[0] ? where->config : "the built-in default config");
    return EXIT_USAGE;
}

/* Waits for the state file, and for a policy in it: a client makes the one first and publishes then. */
static int record_when_there(const struct location *where, bool keep) {
    struct source s;
    for (bool said = false; !stop_signal; (void)usleep(POLL_US)) {
        int error = 0;
        enum state_error result = source_write(&s, where->state_file, &error);
        if (result == STATE_NOT_OURS && geteuid() == 0)
            return record_for_owner(where, keep);
        if (result != STATE_OK && result != STATE_ABSENT)
            return cannot_use(where, result, error);
        if (result == STATE_OK && __atomic_load_n(&s.state.header->generation, __ATOMIC_ACQUIRE) != 0)
            return record_own(&s, where, keep);
        if (result == STATE_OK)
            source_close(&s);
        else if (!said)
            warn("%s: not there yet: no program has run under this instance; waiting for it", where->state_file);
        said = true;
    }
    return EXIT_DONE;
}

int record_main(int argc, char **argv) {
    static const struct command_line line = {"record", help, "c:i:h", options, parse_option};
    struct arguments a = {0};
    struct location where;
    int wrong = arguments_read(&line, argc, argv, &a.chosen, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc) {
        warn("record: %s: record takes no argument; try: -i for an instance", argv[optind]);
        return EXIT_USAGE;
    }
    if (!arguments_locate(&a.chosen, &where))
        return EXIT_USAGE;
    instances_note_files(&where, "record");
    stop_catch();
    return record_when_there(&where, a.keep);
}
