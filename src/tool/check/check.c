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
#include "tool/check/missing.h"
#include "tool/check/sizing.h"
#include "state/copy.h"
#include "tool/check/ask.h"

enum { SNAT_PORTS_MAX = 1 << 30 };

static const char help[] =
    "usage: connspread check [-c CONF] [-i INSTANCE] [-o text|json] [--snat PORTS]\n"
    "                        [--to ADDRESS:PORT [--program NAME]]\n"
    "\n"
    "Validates a config, and shows for each rule how many connections it can carry: sources x ports are the\n"
    "quadruplets towards one destination, and each is taken for 60 s by the TIME-WAIT it leaves.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "  -o, --output FORMAT    text (the default), or json\n"
    "      --snat PORTS       warn of rules that can make more connections to an IPv4 destination than a NAT gateway\n"
    "                         with so many ports for it carries\n"
    "      --to ADDRESS:PORT  what would become of a connection to there: its rule, its sources in order, its ports, "
    "and\n"
    "                         why; IPv6 in brackets: [fd00:2::1]:443\n"
    "      --program NAME     with --to: of this program; default: of one that no rule names\n"
    "\n"
    "Exits with 0, 1 if it warns (with --to: if no source of that connection can be used here), 2 if the config is "
    "refused or for a usage error.\n";

enum { OPTION_TO = 256, OPTION_PROGRAM, OPTION_SNAT };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"output", required_argument, NULL, 'o'},
    {"to", required_argument, NULL, OPTION_TO},
    {"program", required_argument, NULL, OPTION_PROGRAM},
    {"snat", required_argument, NULL, OPTION_SNAT},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    bool json, has_to;
    unsigned snat; /* ports; 0: no gateway */
    struct question question;
};

static bool parse_to(struct arguments *a, const char *text) {
    struct policy_target to;
    if (!arguments_target("check", "--to", text, &to))
        return false;
    a->has_to = !to.any && to.length == 128 && to.ports.low == to.ports.high;
    if (!a->has_to)
        warn("check: --to %s is not one address and one port; try: 10.2.0.5:443, or [fd00:2::5]:443", text);
    a->question.to = (struct endpoint){.addr = to.prefix, .port = to.ports.low};
    return a->has_to;
}

/* As the shim has it: program_invocation_short_name, cut. */
static bool parse_program(struct arguments *a, const char *text) {
    const char *slash = strrchr(text, '/');
    snprintf(a->question.program, sizeof a->question.program, "%s", slash ? slash + 1 : text);
    if (!a->question.program[0])
        warn("check: --program %s is not a name; try: curl", text);
    return a->question.program[0] != 0;
}

static bool parse_snat(struct arguments *a, const char *text) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    bool good = text[0] >= '1' && text[0] <= '9' && !*end && n <= SNAT_PORTS_MAX;
    if (!good)
        warn("check: --snat %s is not a number of ports; try: 1024, or 64512 for each address of the gateway", text);
    a->snat = good ? (unsigned)n : 0;
    return good;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    if (option == OPTION_SNAT)
        return parse_snat(a, optarg);
    if (option == OPTION_TO)
        return parse_to(a, optarg);
    if (option == OPTION_PROGRAM)
        return parse_program(a, optarg);
    return arguments_format("check", optarg, &a->json);
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"check", help, "c:i:o:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc)
        warn("check: %s: check takes no argument; try: -c for the config", argv[optind]);
    else if (a->snat && a->has_to)
        warn("check: --snat is about rules, and --to about one connection; try: one of them");
    else if (a->question.program[0] && !a->has_to)
        warn("check: --program only goes with --to; try: add --to ADDRESS:PORT");
    else
        return ARGUMENTS_GOOD;
    return EXIT_USAGE;
}

/* The ring as it is, or as it will be made. */
static void look_at_state(struct findings *f) {
    struct state state;
    struct state_header layout = {0};
    int error;
    enum state_error result = state_copy(&state, AT_FDCWD, f->where.state_file, COPY(SECTION_NEXT_SOURCES), &error);
    if (result == STATE_OK) {
        f->has_state_file = true;
        f->close_cells = state.cells[RING_CLOSES];
        f->control = control_unpack(__atomic_load_n(&state.header->control, __ATOMIC_RELAXED));
        f->epoch = state.epoch;
        memcpy(f->next_source, state.next_source, sizeof f->next_source);
        state_release(&state);
        return;
    }
    f->bad_state_file = result != STATE_ABSENT;
    if (f->bad_state_file)
        warning_add(&f->warnings, "%s: %s", f->where.state_file, state_error_text(result, error));
    sections_plan(&layout, f->policy.log_size);
    f->close_cells = layout.section[SECTION_CLOSES].size / CELL_BYTES;
}

/* What the loader has to say about a config that is valid, a line each. */
static void warn_of_notes(struct warnings *w, const char *notes) {
    for (size_t length; notes && *notes; notes += length + 1) {
        length = strcspn(notes, "\n");
        warning_add(w, "%.*s", (int)length, notes);
        if (!notes[length])
            break;
    }
}

static int check(struct findings *f, const struct arguments *a) {
    const char *what;
    if (!arguments_locate(&a->chosen, &f->where))
        return EXIT_USAGE;
    char *notes;
    if (!settings_load_noted(&f->where, &f->policy, &notes))
        return EXIT_USAGE;
    warn_of_notes(&f->warnings, notes);
    free(notes);
    look_at_state(f);
    if (!host_look(&f->host, &what))
        warning_add(&f->warnings, "%s: %s: the kernel's default is assumed", what, strerror(errno));
    if (a->has_to)
        return check_ask(f, &a->question, a->json) ? EXIT_DONE : EXIT_FOUND;
    tw_reuse_look(&f->reuse);
    find_warnings(&f->policy, &f->host, &f->warnings);
    if (a->snat)
        warn_of_snat(f, a->snat, &f->warnings);
    struct missing *missing = calloc(1, sizeof *missing);
    if (!missing) {
        warn("no memory: %zu bytes are needed", sizeof *missing);
        return EXIT_USAGE;
    }
    missing_look(&f->policy, &f->host, missing);
    f->missing = missing;
    if (a->json)
        check_print_json(f);
    else
        check_print_text(f);
    free(missing);
    f->missing = NULL;
    return f->warnings.count ? EXIT_FOUND : EXIT_DONE;
}

int check_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    struct findings *f = calloc(1, sizeof *f);
    if (!f) {
        warn("no memory: %zu bytes are needed", sizeof *f);
        return EXIT_USAGE;
    }
    int status = check(f, &a);
    free(f);
    return status;
}
