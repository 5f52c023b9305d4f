/* connspread doctor: what on this host makes connects fail with EADDRNOTAVAIL, or soon will. */
#include "tool/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/strbuf.h"
#include "tool/doctor/gather.h"
#include "tool/screen/wrap.h"
#include "tool/doctor/try.h"
#include "tool/doctor/judge.h"
#include "tool/doctor/blame.h"
#include "tool/doctor/facts.h"
#include "tool/doctor/findings.h"
#include "tool/doctor/preloads.h"
#include "tool/host/shim.h"
#include "tool/host/wrapper.h"
#include "tool/host/conduct.h"
#include "tool/doctor/pools.h"
#include "tool/doctor/messages.h"

static const char help[] =
    "usage: connspread doctor [-o text|json] [-c CONF] [--wide] [PROGRAM]\n"
    "       connspread doctor [-o text|json] [--wide] --message TEXT\n"
    "\n"
    "Looks at this host, in this network namespace, for what makes connect() fail with EADDRNOTAVAIL or soon will:\n"
    "ephemeral ports and what keeps them, TIME-WAIT settings and counters, connection tracking, IPv6, what the kernel\n"
    "can do, what else is preloaded, the addresses of the config's pools; and whether PROGRAM can be preloaded. "
    "Changes nothing, sends no "
    "packet.\n"
    "\n"
    "  -o, --output FORMAT    text (the default) or json: one object a line for each finding\n"
    "  -c, --config CONF      whose pools are looked at; default: CONNSPREAD_CONF, else " DEFAULT_CONF
    ", if there is one\n"
    "      --message TEXT     only says what a program means by this line of its output or log\n"
    "      --wide             as wide as it is, on a terminal too\n"
    "\n"
    "Findings are error (do something), warning, unknown (could not be found out) and ok. Works for every user; only\n"
    "root can name the processes of all.\n"
    "Exits with 0, 1 if there is an error or the message is not known, 2 for a usage error.\n";

/* LABEL: where what is found begins. */
enum { OPTION_MESSAGE = 256, CELL = 256, LABEL = 9 };

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"config", required_argument, NULL, 'c'},
    {"message", required_argument, NULL, OPTION_MESSAGE},
    {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    const char *program, *message;
    bool json;
};

static const char *const severity_name[SEVERITIES] = {
    [SEVERITY_ERROR] = "error", [SEVERITY_WARNING] = "warning", [SEVERITY_UNKNOWN] = "unknown", [SEVERITY_OK] = "ok"};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    if (option == OPTION_MESSAGE)
        return (a->message = optarg);
    return arguments_format("doctor", optarg, &a->json);
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"doctor", help, "+o:c:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    a->program = argv[optind];
    if (argc - optind > 1)
        warn("doctor: %s: doctor looks at one program; try: once for each", argv[optind + 1]);
    else if (a->message && a->program)
        warn("doctor: %s: --message is a question of its own; try: the message in quotes", a->program);
    else
        return ARGUMENTS_GOOD;
    return EXIT_USAGE;
}

static bool look_at_program(struct host_facts *f, const char *name) {
    f->has_program = find_program(f->program, name);
    if (!f->has_program) {
        warn("doctor: %s: there is no such program; try: its path", name);
        return false;
    }
    f->preloadable = preloadable(f->program);
    if (shim_serves(f->preloadable))
        f->preloadable = PRELOAD_OK;
    f->overwrites = wrapper_overwrites(f->program);
    if (f->preloadable == PRELOAD_OK)
        f->conduct = conduct_of(f->program);
    if (preloadable_or_supervised(f->preloadable))
        f->supervising = trial_run();
    return true;
}

static void gather(struct host_facts *f, const struct chosen *chosen) {
    doctor_read_sysctls(f);
    doctor_read_conntrack(f);
    doctor_look_at_sockets(f);
    doctor_try_features(f);
    holders_find(&f->ports, &f->held);
    doctor_read_preloads(f);
    doctor_look_at_pools(f, chosen);
}

static void print_string(const char *key, const char *text) {
    char out[6 * FINDING_TEXT + 3];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_json(&s, text, FINDING_TEXT);
    (void)strbuf_finish(&s);
    printf("%s%s", key, out);
}

static void print_json(const struct finding *f) {
    printf("{\"severity\":\"%s\",\"finding\":\"%s\"", severity_name[f->severity], f->name);
    print_string(",\"reason\":", f->reason);
    if (f->remedy[0])
        print_string(",\"remedy\":", f->remedy);
    else
        printf(",\"remedy\":null");
    puts("}");
}

static void print_text(const struct finding *f) {
    static const enum colour colour[SEVERITIES] = {
        [SEVERITY_ERROR] = COLOUR_BAD, [SEVERITY_WARNING] = COLOUR_WARNING, [SEVERITY_OK] = COLOUR_GOOD};
    const struct screen to = screen_stdout();
    const char *severity = severity_name[f->severity];
    char text[FINDING_TEXT + 64];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_text(&s, severity);
    strbuf_bytes(&s, "         ", LABEL - strlen(severity));
    strbuf_text(&s, f->name);
    strbuf_text(&s, ": ");
    strbuf_plain(&s, f->reason, sizeof f->reason);
    (void)strbuf_finish(&s);
    wrap_print_painted(&to, text, LABEL, (struct wrap_paint){colour[f->severity], 0, strlen(severity)});
    if (f->remedy[0])
        wrap_printf(&to, LABEL + (unsigned)strlen("try: "), "%*stry: %s", LABEL, "", f->remedy);
}

/* What needs something done comes first. */
static void print(const struct findings *all, bool json) {
    for (unsigned severity = 0; severity < SEVERITIES; severity++)
        for (unsigned i = 0; i < all->n; i++)
            if (all->finding[i].severity == severity)
                (json ? print_json : print_text)(&all->finding[i]);
}

/* A cell of the table for people: without what marks it up. */
static const char *plain_cell(char out[CELL], const char *cell) {
    size_t n = 0;
    for (; *cell && n < CELL - 1; cell++)
        if (*cell != '`' && *cell != '*')
            out[n++] = *cell;
    out[n] = '\0';
    return out;
}

static void print_message(const struct message *m, bool json) {
    if (json) {
        print_string("{\"program\":", m->program);
        print_string(",\"message\":", m->text);
        print_string(",\"exit_status\":", m->exit_status);
        print_string(",\"retries\":", m->retries);
        print_string(",\"next_address\":", m->next_address);
        puts("}");
        return;
    }
    char cell[5][CELL];
    const struct screen to = screen_stdout();
    wrap_printf(&to, 2 * SCREEN_HANG,
                "%s\n    says: %s\n    exit status: %s; retries: %s; connects to a second address of the name: %s",
                plain_cell(cell[0], m->program), plain_cell(cell[1], m->text), plain_cell(cell[2], m->exit_status),
                plain_cell(cell[3], m->retries), plain_cell(cell[4], m->next_address));
}

enum { SHOWN = 6 }; /* rows for a person */

/* What a program's message means: nothing of this host is looked at. */
static int look_up(const char *line, bool json) {
    const struct message *found[MESSAGES_MAX];
    unsigned n = messages_find(line, found);
    const char *meaning = messages_meaning(line);
    const struct screen to = screen_stdout();
    for (unsigned i = 0; i < n && (json || i < SHOWN); i++)
        print_message(found[i], json);
    if (n > SHOWN && !json)
        wrap_printf(&to, SCREEN_HANG, "and %u more that say the same; try: -o json, which names them", n - SHOWN);
    if (meaning && json) {
        print_string("{\"meaning\":", meaning);
        puts("}");
    } else if (meaning) {
        wrap_printf(&to, SCREEN_HANG, "%smeaning: %s", n ? "\n" : "", meaning);
    } else if (n && !json) {
        wrap_print(&to,
                   "\nmeaning: the message gives no reason; it is what the program says, too, when no source port is "
                   "left. try: connspread quads -p, while it happens",
                   SCREEN_HANG);
    }
    if (!n && !meaning)
        warn("doctor: this message is not one that a program in the table gives when ports run out; try: the line "
             "with the error itself, or contrib/doc/messages.md");
    return n || meaning ? EXIT_DONE : EXIT_FOUND;
}

static int examine(const struct arguments *a, struct host_facts *facts, struct findings *found) {
    if (a->program && !look_at_program(facts, a->program))
        return EXIT_USAGE;
    gather(facts, &a->chosen);
    doctor_judge_program(facts, found);
    doctor_judge_preloads(facts, found);
    doctor_judge_pools(facts, found);
    doctor_judge(facts, found);
    print(found, a->json);
    for (unsigned i = 0; i < found->n; i++)
        if (found->finding[i].severity == SEVERITY_ERROR)
            return EXIT_FOUND;
    return EXIT_DONE;
}

int doctor_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (a.message)
        return look_up(a.message, a.json);
    struct host_facts *facts = calloc(1, sizeof *facts);
    struct findings *found = calloc(1, sizeof *found);
    int status = EXIT_FOUND;
    if (facts && found)
        status = examine(&a, facts, found);
    else
        warn("no memory");
    free(facts);
    free(found);
    return status;
}
