/* connspread report: the post-mortem of an EADDRNOTAVAIL. */

#include "tool/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/common/locate.h"
#include "tool/common/progress.h"
#include "tool/page/page.h"
#include "tool/report/facts_add.h"
#include "tool/report/history.h"
#include "tool/report/find.h"
#include "tool/report/quiet.h"
#include "tool/report/who.h"
#include "tool/report/text.h"
#include "tool/report/json.h"
#include "tool/report/model.h"
#include "tool/reader/instances.h"
#include "tool/reader/instances_say.h"
#include "tool/record/wanted.h"

static const char help[] =
    "usage: connspread report [-o text|json|html] [--since T] [--until T] [--wide]\n"
    "                         [-i INSTANCE | -c CONF | FILE...]\n"
    "\n"
    "The post-mortem: what failed with \"Cannot assign requested address\" (EADDRNOTAVAIL), when, why, which end\n"
    "closed first, and what to do about it, the least intrusive first. Reads the instance's state file and its "
    "log.file,\n"
    "or FILEs: state files and JSON Lines as log -o json prints them, of any number of hosts (- is stdin), merged\n"
    "by time.\n"
    "\n"
    "  -o, --output FORMAT    text (the default); json: one object; html: one page with pictures, for a browser\n"
    "      --since T          from then on; T is 2026-11-21T03:27:59Z, 03:27 (today, UTC), 10m or 2h (ago),\n"
    "                         now, or seconds since 1970\n"
    "      --until T          up to then\n"
    "  -i, --instance NAME    the instance; default: CONNSPREAD_INSTANCE, else the config file's name\n"
    "  -c, --config CONF      the instance that belongs to this config file\n"
    "      --wide             tables as wide as they are, on a terminal too\n"
    "\n"
    "Exits with 0 if no failure reached a program, 1 if one did, 2 for a usage error or input that cannot be read.\n";

enum { OPTION_SINCE = 256, OPTION_UNTIL };

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"instance", required_argument, NULL, 'i'},
    {"config", required_argument, NULL, 'c'},
    {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum form { FORM_TEXT, FORM_JSON, FORM_HTML };

struct arguments {
    uint64_t since_us, until_us;
    struct chosen chosen;
    enum form form;
    int argc;
    char *const *argv;
};

/* --- reading --- */

enum { EVENTS_PER_LOOK = 16384 };

static void show_progress(struct progress *p, const struct report_inputs *in) {
    uint64_t at = inputs_position(in);
    if (in->size)
        progress_say(p, "report: %llu events, %llu of %llu MB, %u %%", (unsigned long long)in->events,
                     (unsigned long long)(at >> 20), (unsigned long long)(in->size >> 20),
                     (unsigned)(at * 100 / in->size));
    else
        progress_say(p, "report: %llu events", (unsigned long long)in->events);
}

static void take_event(struct report *r, struct page *page, const struct event_record *event,
                       const struct event_context *context) {
    facts_add(&r->facts, event, context);
    if (page)
        page_take(page, &r->facts, event, context);
}

/* page: NULL, or what gathers for it. */
static void read_events(struct report *r, struct page *page) {
    struct progress progress;
    const struct event_record *event;
    const struct event_context *context;
    progress_begin(&progress);
    while (inputs_next(&r->inputs, &event, &context)) {
        if (event->e.time_us >= r->since_us && event->e.time_us <= r->until_us)
            take_event(r, page, event, context);
        if (r->inputs.events % EVENTS_PER_LOOK == 0 && progress_due(&progress))
            show_progress(&progress, &r->inputs);
    }
    progress_end(&progress);
}

/* instance: see inputs_open. */
static bool read_all(struct report *r, struct page *page, char *const *files, unsigned n, bool instance) {
    if (!facts_init(&r->facts, REPORT_SETS) || !inputs_open(&r->inputs, files, n, instance))
        return false;
    read_events(r, page);
    r->good = inputs_judge(&r->inputs);
    here_look(&r->here);
    r->now_us = time_now_us();
    report_add_history(r);
    if (page)
        page_remember(page, r);
    report_find(r);
    report_name_holders(r);
    report_find_quiet(r);
    return true;
}

static bool print(const struct report *r, struct page *page, const struct arguments *a) {
    if (a->form == FORM_JSON)
        return report_print_json(r);
    if (page)
        page_print(page, stdout, a->argc, a->argv);
    else
        report_print_text(r);
    return true;
}

static int make_report(struct report *r, const struct arguments *a, char *const *files, unsigned n, bool instance) {
    struct page *page = a->form == FORM_HTML ? page_open(r) : NULL;
    int status = EXIT_USAGE;
    if ((a->form == FORM_HTML && !page) || !read_all(r, page, files, n, instance) || !print(r, page, a))
        warn("report: no memory");
    else
        status = !r->good ? EXIT_USAGE : report_failed(r) ? EXIT_FOUND : EXIT_DONE;
    r->write_error = fflush(stdout) == 0 ? 0 : errno;
    page_close(page);
    return status;
}

/* What a recorder wrote goes further back than the rings; what is in both counts once. The policy of another user's
 * file names nothing that we would read: only the config that the caller named does. */
static bool find_log(const struct location *where, char log_file[RECORD_PATH]) {
    struct source source;
    int error;
    if (source_open(&source, where->state_file, &error) != STATE_OK)
        return false;
    bool ours = source_is_ours(&source);
    bool found = ours ? record_wanted(&source.state, log_file) : where->config[0] && record_named(where, log_file);
    source_close(&source);
    return found && access(log_file, R_OK) == 0;
}

/* --- the command line --- */

static bool parse_form(const char *text, enum form *out) {
    static const char *const name[] = {[FORM_TEXT] = "text", [FORM_JSON] = "json", [FORM_HTML] = "html"};
    for (unsigned i = 0; i < sizeof name / sizeof *name; i++) {
        *out = (enum form)i;
        if (strcmp(text, name[i]) == 0)
            return true;
    }
    warn("report: -o %s is not a format; try: text, json or html", text);
    return false;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    switch (option) {
    case 'o':
        return parse_form(optarg, &a->form);
    case OPTION_SINCE:
        return arguments_time("report", "--since", optarg, &a->since_us);
    default:
        return arguments_time("report", "--until", optarg, &a->until_us);
    }
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"report", help, "o:i:c:h", options, parse_option};
    a->until_us = UINT64_MAX;
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    const char *conflict = a->since_us > a->until_us
                               ? "--since is later than --until, so no event can be between; try: exchange them"
                           : optind < argc && (a->chosen.instance || a->chosen.config)
                               ? "FILE and -i or -c exclude each other; try: one of them"
                               : NULL;
    if (conflict)
        warn("report: %s", conflict);
    return conflict ? EXIT_USAGE : ARGUMENTS_GOOD;
}

int report_main(int argc, char **argv) {
    struct arguments a = {.argc = argc, .argv = argv};
    struct location where;
    char log_file[RECORD_PATH], *instance_files[] = {where.state_file, log_file};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    char **files = argv + optind;
    unsigned n_files = (unsigned)(argc - optind);
    bool instance = n_files == 0;
    if (instance) {
        if (!arguments_locate(&a.chosen, &where))
            return EXIT_USAGE;
        instances_note_files(&where, "report");
        instances_say_silence(&where, "report");
        files = instance_files;
        n_files = find_log(&where, log_file) ? 2 : 1;
    }
    struct report *r = calloc(1, sizeof *r);
    if (!r) {
        warn("report: no memory");
        return EXIT_USAGE;
    }
    r->since_us = a.since_us;
    r->until_us = a.until_us;
    int status = make_report(r, &a, files, n_files, instance), write_error = r->write_error;
    inputs_close(&r->inputs);
    facts_free(&r->facts);
    free(r);
    errno = write_error; /* for the check of stdout at the end */
    return status;
}
