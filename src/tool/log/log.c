/* connspread log: read events, follow them. */

#include "tool/log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
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
    "usage: connspread log [-f] [-o text|json] [--schema otel|ecs] [-n N] [--since T] [--until T] [--event E]\n"
    "                      [--to ADDRESS] [--source ADDRESS] [--program NAME] [--pid N]\n"
    "                      [--trace] [--wide] [-i INSTANCE | -c CONF | FILE...]\n"
    "\n"
    "Prints the events of an instance: every close that left a TIME-WAIT socket on this host, and every\n"
    "EADDRNOTAVAIL with what was tried. Reads the instance's state file, or files of JSON Lines (- is stdin).\n"
    "\n"
    "  -f, --follow           after what is there, go on with what comes, until interrupted (record writes it into\n"
    "                         log.file)\n"
    "  -o, --output FORMAT    text (the default), or json: one object a line\n"
    "      --schema NAME      with -o json, the names of others for its members: otel (OpenTelemetry) or ecs (Elastic\n"
    "                         Common Schema); what has no name there is connspread.MEMBER\n"
    "  -n, --last N           only the last N events of what is there; with -f, then what comes\n"
    "      --since T          from then on; T is 2026-11-21T03:27:59Z, 03:27 (today, UTC), 10m or 2h (ago),\n"
    "                         now, or seconds since 1970\n"
    "      --until T          up to then\n"
    "      --event E          only these: time-wait, time-wait-gone, close, exhausted, source-down, attach, detach,\n"
    "                         reload, override, trace-connect, trace-close, holders; several with commas, or by giving "
    "it "
    "again\n"
    "      --to ADDRESS       only those with this peer: ADDRESS[/LEN][:PORT[-PORT]], IPv6 in brackets before a port;\n"
    "                         \"*:443\" is every address\n"
    "      --source ADDRESS   only those from this address of this host, written likewise; a connect that ran out of\n"
    "                         ports is of each source that it tried\n"
    "      --program NAME     only those of programs of this name, such as curl or \"php-fpm*\"\n"
    "      --trace            also the decisions of clients that ran under connspread run --trace\n"
    "      --pid N            only those of this process\n"
    "      --wide             as wide as it is, on a terminal too\n"
    "  -i, --instance NAME    the instance; default: CONNSPREAD_INSTANCE, else the config file's name\n"
    "  -c, --config CONF      the instance that belongs to this config file\n"
    "\n"
    "Exits with 0, 1 if there was no state file or a line was damaged, 2 for a usage error.\n";

enum {
    OPTION_SINCE = 256,
    OPTION_UNTIL,
    OPTION_EVENT,
    OPTION_TO,
    OPTION_SOURCE,
    OPTION_PROGRAM,
    OPTION_PID,
    OPTION_TRACE,
    OPTION_SCHEMA
};

#define TRACES (UINT32_C(1) << EVENT_TRACE_CONNECT | UINT32_C(1) << EVENT_TRACE_CLOSE)

static const struct option options[] = {
    {"follow", no_argument, NULL, 'f'},
    {"output", required_argument, NULL, 'o'},
    {"schema", required_argument, NULL, OPTION_SCHEMA},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"event", required_argument, NULL, OPTION_EVENT},
    {"to", required_argument, NULL, OPTION_TO},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"program", required_argument, NULL, OPTION_PROGRAM},
    {"pid", required_argument, NULL, OPTION_PID},
    {"last", required_argument, NULL, 'n'},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {"instance", required_argument, NULL, 'i'},
    {"config", required_argument, NULL, 'c'},
    {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool parse_schema(const char *text, enum event_schema *out) {
    *out = strcmp(text, "otel") == 0 ? SCHEMA_OTEL : strcmp(text, "ecs") == 0 ? SCHEMA_ECS : SCHEMA_OURS;
    if (*out == SCHEMA_OURS)
        warn("log: --schema %s is not one; try: otel or ecs", text);
    return *out != SCHEMA_OURS;
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
                 "source-down, attach, detach, reload, override, trace-connect, trace-close, holders",
                 list);
            return false;
        }
        *kinds |= UINT32_C(1) << kind;
        if (!p[length])
            return true;
        p += length + 1;
    }
}

static bool parse_pid(struct log_request *request) {
    uint64_t pid;
    request->has_pid = arguments_number("log", "--pid", 0, UINT32_MAX, &pid);
    request->pid = (uint32_t)pid;
    return request->has_pid;
}

struct arguments {
    struct log_request request;
    struct last_lines last;
    struct netns_seen netns;
    struct chosen chosen;
    bool trace;
};

static bool parse_last(struct arguments *a) {
    uint64_t n;
    if (!arguments_number("log", "-n", 1, LAST_MAX, &n))
        return false;
    a->last.max = n;
    a->request.last = &a->last;
    return true;
}

static bool parse_program(const char *text, struct log_request *request) {
    if (strchr(text, '/')) {
        warn("log: --program %s is a path, and events have names; try: %s", text, strrchr(text, '/') + 1);
        return false;
    }
    request->program = text;
    return true;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    struct log_request *request = &a->request;
    switch (option) {
    case 'f':
        return request->follow = true;
    case 'o':
        return arguments_format("log", optarg, &request->json);
    case OPTION_SCHEMA:
        return parse_schema(optarg, &request->schema);
    case OPTION_SINCE:
        return arguments_time("log", "--since", optarg, &request->since_us);
    case OPTION_UNTIL:
        return arguments_time("log", "--until", optarg, &request->until_us);
    case OPTION_TRACE:
        return a->trace = true;
    case OPTION_EVENT:
        return parse_events(optarg, &request->kinds);
    case OPTION_TO:
        return request->has_to = arguments_target("log", "--to", optarg, &request->to);
    case OPTION_SOURCE:
        return request->has_source = arguments_target("log", "--source", optarg, &request->source);
    case OPTION_PROGRAM:
        return parse_program(optarg, request);
    case 'n':
        return parse_last(a);
    default:
        return parse_pid(request);
    }
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"log", help, "fo:n:i:c:h", options, parse_option};
    a->request.until_us = UINT64_MAX;
    a->request.netns = &a->netns;
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (a->request.kinds == 0)
        a->request.kinds = ~TRACES;
    if (a->trace)
        a->request.kinds |= TRACES;
    const char *conflict = a->request.since_us > a->request.until_us
                               ? "--since is later than --until, so no event can be between; try: exchange them"
                           : a->request.schema && !a->request.json ? "--schema is about JSON; try: with -o json"
                           : optind < argc && a->request.follow ? "-f follows the state file, not a FILE; try: -i or -c"
                           : optind < argc && (a->chosen.instance || a->chosen.config)
                               ? "FILE and -i or -c exclude each other; try: one of them"
                               : NULL;
    if (conflict)
        warn("log: %s", conflict);
    return conflict ? EXIT_USAGE : ARGUMENTS_GOOD;
}

static int read_events(struct arguments *a, char *const *files, int n_files) {
    struct location where;
    if (n_files > 0)
        return log_from_files(&a->request, files, n_files);
    if (!arguments_locate(&a->chosen, &where))
        return EXIT_USAGE;
    instances_note_files(&where, "log");
    if (!a->request.follow)
        instances_say_silence(&where, "log");
    return log_from_state(&a->request, &where);
}

int log_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    stop_catch();
    a.request.screen = screen_stdout();
    int status = read_events(&a, argv + optind, argc - optind);
    errno = log_write_error(); /* for the check of stdout at the end */
    return status;
}
