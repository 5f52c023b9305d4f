/* connspread stat: what each arm did under each rule from each source. */

#include "tool/stat/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/progress.h"
#include "base/sys.h"
#include "tool/stat/take.h"
#include "tool/stat/occupancy.h"
#include "tool/stat/text.h"
#include "tool/stat/json.h"
#include "tool/stat/prometheus.h"
#include "tool/stat/compare_print.h"
#include "tool/reader/state_files.h"
#include "tool/stat/compare.h"
#include "tool/stat/model.h"
#include "tool/reader/instances_say.h"
#include "state/copy.h"
#include "tool/stat/all.h"
#include "tool/stat/live.h"

static const char help[] =
    "usage: connspread stat [-c CONF] [-i INSTANCE] [-o text|json|prometheus] [--interval TIME] [--compare | --all]\n"
    "                       [--wide]\n"
    "       connspread stat -w [SECONDS] [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Shows what each arm did under each rule from each source: connects and what came of them, the time inside\n"
    "connect(), closes by fate; then the counters of the instance, how full its sources are, and which are marked\n"
    "down because a destination answers others and not them.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "  -o, --output FORMAT    text (the default), json, or prometheus\n"
    "      --interval TIME    only what happens from now on for so long (10s, 5m)\n"
    "      --compare          canary against control: failed connects and times, with 99 % confidence intervals\n"
    "                         (Newcombe's) and the Mann-Whitney test; the last line is the verdict: better, same,\n"
    "                         worse, or not enough data\n"
    "      --all              every instance in the state folder, for root also those of all users and services; stale "
    "state\n"
    "                         files are named with the reason\n"
    "  -w, --watch            a live view, every SECONDS (default: 2): of each instance, or that of -i or -c, its "
    "rules\n"
    "                         and sources with rates, failures, time inside connect() and how full they are, and the\n"
    "                         last incidents; q ends it, a space looks at once\n"
    "      --wide             as wide as it is, on a terminal too\n"
    "\n"
    "A connect counts as failed when the client got an error, or gave up before the handshake was done. One that was\n"
    "in progress and refused later does not show. Source \"any\" is the kernel's choice.\n"
    "Exits with 0, 1 if a state file cannot be read or the verdict is worse, 2 for a usage error.\n";

enum { OPTION_ALL = 256, OPTION_COMPARE, OPTION_INTERVAL, LOOK_NS = 250000000 };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'}, {"instance", required_argument, NULL, 'i'},
    {"output", required_argument, NULL, 'o'}, {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"all", no_argument, NULL, OPTION_ALL},   {"compare", no_argument, NULL, OPTION_COMPARE},
    {"watch", no_argument, NULL, 'w'},        {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},         {0},
};

struct arguments {
    struct chosen chosen;
    enum stat_format format;
    uint32_t interval_ms;
    uint32_t every_ms; /* of -w; 0: without it */
    bool all, compare, watch;
};

static bool parse_format(struct arguments *a, const char *name) {
    static const char *const names[] = {
        [STAT_AS_TEXT] = "text", [STAT_AS_JSON] = "json", [STAT_AS_PROMETHEUS] = "prometheus"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            a->format = (enum stat_format)i;
            return true;
        }
    }
    warn("stat: -o %s is not a format; try: text, json or prometheus", name);
    return false;
}

/* What cannot go together. */
static bool is_sound(const struct arguments *a, const char *rest) {
    if (a->watch && (a->all || a->compare || a->interval_ms || a->format != STAT_AS_TEXT))
        warn("stat: -w is a view of its own; try: without --all, --compare, --interval and -o");
    else if (rest)
        warn("stat: %s: stat takes no argument; try: -i for an instance", rest);
    else if (a->compare && (a->all || a->format == STAT_AS_PROMETHEUS))
        warn("stat: --compare is about one instance, as text or json; try: without --all and -o prometheus");
    else if (a->interval_ms && (a->all || a->format == STAT_AS_PROMETHEUS))
        warn("stat: --interval is about one instance, as text or json; try: without --all and -o prometheus");
    else
        return true;
    return false;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    switch (option) {
    case 'o':
        return parse_format(a, optarg);
    case OPTION_INTERVAL:
        return arguments_duration("stat", "--interval", optarg, &a->interval_ms);
    case 'w':
        return a->watch = true;
    case OPTION_ALL:
        return a->all = true;
    default:
        return a->compare = true;
    }
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"stat", help, "c:i:o:wh", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    const char *rest = argv[optind];
    if (a->watch && !arguments_every("stat", rest, &a->every_ms))
        return EXIT_USAGE;
    return is_sound(a, a->watch && rest ? argv[optind + 1] : rest) ? ARGUMENTS_GOOD : EXIT_USAGE;
}

static void add_occupancy(struct stat_report *r, const struct state *s) {
    uint64_t budget = STAT_COMPARES;
    if (!stat_take_occupancy(r, s, &budget))
        warn("the sockets of this network namespace cannot be listed: %s; occupancy is left out", strerror(errno));
}

static void wait_ms(uint32_t ms) {
    struct progress progress;
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)ms * 1000000, now;
    progress_begin(&progress);
    while ((now = clock_ns(CLOCK_MONOTONIC)) < end) {
        uint64_t step = end - now < LOOK_NS ? end - now : LOOK_NS;
        (void)nanosleep(&(struct timespec){0, (long)step}, NULL);
        if (progress_due(&progress))
            progress_say(&progress, "stat: counting, %llu s to go", (unsigned long long)((end - now) / 1000000000));
    }
    progress_end(&progress);
}

/* False: the file was cut meanwhile. */
static bool take(struct stat_report *r, struct state *s, const char *path, const struct arguments *a) {
    struct stat_report *before = a->interval_ms ? stat_report_new() : NULL;
    if (before) {
        stat_take(before, s, path, NULL);
        wait_ms(a->interval_ms);
        if (!state_copy_again(s, 0)) {
            warn("%s: was cut, or cannot be read any more: %s", path, strerror(errno));
            free(before);
            return false;
        }
    }
    stat_take(r, s, path, NULL);
    if (before)
        stat_subtract(r, before);
    free(before);
    if (!a->compare)
        add_occupancy(r, s);
    return true;
}

static int print_one(const struct arguments *a, const struct stat_report *r) {
    struct comparison c;
    if (a->compare) {
        stat_print_comparison(r, a->format == STAT_AS_JSON);
        stat_compare(r, &c);
        return c.verdict == COMPARE_WORSE ? EXIT_FOUND : EXIT_DONE;
    }
    if (a->format == STAT_AS_TEXT)
        stat_print_text(r);
    else if (a->format == STAT_AS_JSON)
        stat_print_json(r);
    else
        stat_print_prometheus(&r, 1);
    return EXIT_DONE;
}

static int stat_one(const struct arguments *a, const struct location *where) {
    struct state s;
    int error = 0, status = EXIT_FOUND;
    enum state_error result = state_copy(&s, AT_FDCWD, where->state_file, COPY_STATS, &error);
    if (result != STATE_OK) {
        warn("%s: %s", where->state_file, state_error_text(result, error));
        return EXIT_FOUND;
    }
    struct stat_report *r = stat_report_new();
    if (!r)
        warn("no memory");
    else if (take(r, &s, where->state_file, a))
        status = print_one(a, r);
    free(r);
    state_release(&s);
    return status;
}

int stat_main(int argc, char **argv) {
    struct arguments a = {0};
    struct location where;
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!arguments_locate(&a.chosen, &where))
        return EXIT_USAGE;
    if (a.watch)
        return stat_live(&where, a.chosen.instance || a.chosen.config, a.every_ms);
    if (a.all)
        return stat_all(&where, a.format);
    instances_note_files(&where, "stat");
    if (!a.interval_ms)
        instances_say_silence(&where, "stat");
    return stat_one(&a, &where);
}
