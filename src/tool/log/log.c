/* connspread log: read events, follow them. */

#include "tool/log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "tool/common/locate.h"
#include "tool/log/state.h"
#include "tool/log/files.h"
#include "tool/log/model.h"
#include "tool/common/stop.h"
#include "tool/log/print.h"
#include "tool/reader/instances.h"
#include "tool/reader/instances_say.h"

static const char help[] =
    "usage: connspread log [-f] [-o text|json] [--since T] [--until T] [--event E] [--pid N]\n"
    "                      [-i INSTANCE | -c CONF | FILE...]\n"
    "\n"
    "Prints the events of an instance: every close that left a TIME-WAIT socket on this host, and every\n"
    "EADDRNOTAVAIL with what was tried. Reads the instance's state file, or files of JSON Lines (- is stdin).\n"
    "\n"
    "  -f, --follow           after what is there, go on with what comes, until interrupted (record writes it into\n"
    "                         log.file)\n"
    "  -o, --output FORMAT    text (the default), or json: one object a line\n"
    "      --since T          from then on; T is 2026-11-21T03:27:59Z, 03:27 (today, UTC), 10m or 2h (ago),\n"
    "                         now, or seconds since 1970\n"
    "      --until T          up to then\n"
    "      --event E          only these: time-wait, time-wait-gone, close, exhausted, source-down, attach, detach,\n"
    "                         reload, override; several with commas, or by giving it again\n"
    "      --pid N            only those of this process\n"
    "  -i, --instance NAME    the instance; default: CONNSPREAD_INSTANCE, else the config file's name\n"
    "  -c, --config CONF      the instance that belongs to this config file\n"
    "\n"
    "Exits with 0, 1 if there was no state file or a line was damaged, 2 for a usage error.\n";

enum { OPTION_SINCE = 256, OPTION_UNTIL, OPTION_EVENT, OPTION_PID };

static const struct option options[] = {
    {"follow", no_argument, NULL, 'f'},
    {"output", required_argument, NULL, 'o'},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"event", required_argument, NULL, OPTION_EVENT},
    {"pid", required_argument, NULL, OPTION_PID},
    {"instance", required_argument, NULL, 'i'},
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool parse_time(const char *option, const char *text, uint64_t *out) {
    const char *wrong = time_from_text(text, time_now_us(), out);
    if (wrong)
        warn("log: %s %s is not a time; try: %s", option, text, wrong);
    return !wrong;
}

/* "time-wait,close" */
static bool parse_events(const char *list, uint32_t *kinds) {
    char word[16];
    for (const char *p = list;;) {
        size_t length = strcspn(p, ",");
        uint8_t kind;
        int n = snprintf(word, sizeof word, "%.*s", (int)(length < 64 ? length : 64), p);
        if (n >= (int)sizeof word || !event_value(NAMES_KIND, word, &kind)) {
            warn("log: --event %s: there is no such event; try: time-wait, time-wait-gone, close, exhausted, "
                 "source-down, attach, detach, reload, override",
                 list);
            return false;
        }
        *kinds |= UINT32_C(1) << kind;
        if (!p[length])
            return true;
        p += length + 1;
    }
}

static bool parse_pid(const char *text, struct log_request *request) {
    char *end;
    errno = 0;
    unsigned long pid = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || pid > UINT32_MAX) {
        warn("log: --pid %s is not a process number; try: a number above 0", text);
        return false;
    }
    request->has_pid = true;
    request->pid = (uint32_t)pid;
    return true;
}

struct arguments {
    struct log_request request;
    struct chosen chosen;
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    struct log_request *request = &a->request;
    switch (option) {
    case 'f':
        return request->follow = true;
    case 'o':
        return arguments_format("log", optarg, &request->json);
    case OPTION_SINCE:
        return parse_time("--since", optarg, &request->since_us);
    case OPTION_UNTIL:
        return parse_time("--until", optarg, &request->until_us);
    case OPTION_EVENT:
        return parse_events(optarg, &request->kinds);
    default:
        return parse_pid(optarg, request);
    }
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"log", help, "fo:i:c:h", options, parse_option};
    a->request.until_us = UINT64_MAX;
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (a->request.kinds == 0)
        a->request.kinds = UINT32_MAX;
    const char *conflict = a->request.since_us > a->request.until_us
                               ? "--since is later than --until, so no event can be between; try: exchange them"
                           : optind < argc && a->request.follow ? "-f follows the state file, not a FILE; try: -i or -c"
                           : optind < argc && (a->chosen.instance || a->chosen.config)
                               ? "FILE and -i or -c exclude each other; try: one of them"
                               : NULL;
    if (conflict)
        warn("log: %s", conflict);
    return conflict ? EXIT_USAGE : ARGUMENTS_GOOD;
}

static int read_events(const struct arguments *a, char *const *files, int n_files) {
    struct location where;
    if (n_files > 0)
        return log_from_files(&a->request, files, n_files);
    if (!arguments_locate(&a->chosen, &where))
        return EXIT_USAGE;
    instances_note_files(&where, "log");
    return log_from_state(&a->request, &where);
}

int log_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    stop_catch();
    int status = read_events(&a, argv + optind, argc - optind);
    errno = log_write_error(); /* for whoever looks at stdout last */
    return status;
}
