#include "tool/reap.h"

#include <stdio.h>

#include "tool/common/arguments.h"
#include "tool/common/locate.h"
#include "tool/common/message.h"
#include "tool/common/rights.h"
#include "tool/common/state_write.h"
#include "tool/reaper/reaper.h"

enum { PATIENCE_MS = 5000 };

static const char help[] =
    "usage: connspread reap [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Writes the events of connections that killed processes left open, and that an exec closed, into the instance's\n"
    "state file, and counts them. A recorder does that all the time; log and report tell of them without writing.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "Exits with 0, 1 if the state file cannot be used, 2 for a usage error.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void reap(struct state *s, const char *path) {
    struct reaper h;
    reaper_init(&h, path);
    reaper_take_over(&h, s, path);
    (void)reaper_round(&h, s, PATIENCE_MS);
    printf("%s: %llu event%s written\n", path, (unsigned long long)h.recorded, h.recorded == 1 ? "" : "s");
    reaper_end(&h);
}

int reap_main(int argc, char **argv) {
    static const struct command_line line = {"reap", help, "c:i:h", options, NULL};
    struct chosen chosen = {0};
    struct location where;
    struct state s;
    int error = 0, wrong = arguments_read(&line, argc, argv, &chosen, NULL);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc) {
        warn("reap: %s: reap takes no argument; try: -i for an instance", argv[optind]);
        return EXIT_USAGE;
    }
    if (!arguments_locate(&chosen, &where))
        return EXIT_USAGE;
    if (!rights_of_folder(where.folder))
        return EXIT_FOUND;
    enum state_error result = state_write(&s, where.state_file, &error);
    if (result != STATE_OK) {
        warn("%s: %s", where.state_file, state_error_text(result, error));
        return EXIT_FOUND;
    }
    reap(&s, where.state_file);
    state_unmap(&s);
    return EXIT_DONE;
}
