/* connspread check: is the config valid, and what can it carry on this host? */

#include "tool/check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/settings.h"
#include "state/state.h"
#include "state/control.h"
#include "tool/check/warnings.h"
#include "tool/check/print.h"
#include "tool/check/model.h"
#include "state/copy.h"

static const char help[] =
    "usage: connspread check [-c CONF] [-i INSTANCE] [-o text|json]\n"
    "\n"
    "Validates a config, and shows for each rule how many connections it can carry: sources x ports are the\n"
    "quadruplets towards one destination, and each is taken for 60 s by the TIME-WAIT it leaves.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "  -o, --output FORMAT    text (the default), or json\n"
    "\n"
    "Exits with 0, 1 if it warns, 2 if the config is refused or for a usage error.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    bool json;
};

static bool take_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* -o is the only one */
    return arguments_format("check", optarg, &a->json);
}

static int take_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"check", help, "c:i:o:h", options, take_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc)
        complain("check: %s: check takes no argument; try: -c for the config", argv[optind]);
    return optind == argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

/* The ring as it is, or as it will be made. */
static void look_at_state(struct findings *f) {
    struct state state;
    struct state_header layout = {0};
    int error;
    enum state_error result = state_copy(&state, AT_FDCWD, f->where.state_file, 0, &error);
    if (result == STATE_OK) {
        f->has_state_file = true;
        f->close_cells = state.cells[RING_CLOSES];
        f->control = control_unpack(__atomic_load_n(&state.header->control, __ATOMIC_RELAXED));
        state_release(&state);
        return;
    }
    if (result != STATE_ABSENT)
        warn(&f->warnings, "%s: %s", f->where.state_file, state_error_text(result, error));
    sections_plan(&layout, f->policy.log_size);
    f->close_cells = layout.section[SECTION_CLOSES].size / CELL_BYTES;
}

static int check(struct findings *f, const struct arguments *a) {
    const char *what;
    if (!arguments_locate(&a->chosen, &f->where))
        return EXIT_USAGE;
    if (!settings_load(&f->where, &f->policy))
        return EXIT_USAGE;
    look_at_state(f);
    if (!host_look(&f->host, &what))
        warn(&f->warnings, "%s: %s: the kernel's default is assumed", what, strerror(errno));
    find_warnings(&f->policy, &f->host, &f->warnings);
    if (a->json)
        check_print_json(f);
    else
        check_print_text(f);
    return f->warnings.count ? EXIT_FOUND : EXIT_DONE;
}

int check_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = take_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    struct findings *f = calloc(1, sizeof *f);
    if (!f) {
        complain("no memory: %zu bytes are needed", sizeof *f);
        return EXIT_USAGE;
    }
    int status = check(f, &a);
    free(f);
    return status;
}
