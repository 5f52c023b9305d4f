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
#include "tool/doctor/try.h"
#include "tool/doctor/judge.h"
#include "tool/doctor/blame.h"
#include "tool/doctor/facts.h"
#include "tool/doctor/findings.h"

static const char help[] =
    "usage: connspread doctor [-o text|json] [PROGRAM]\n"
    "\n"
    "Looks at this host, in this network namespace, for what makes connect() fail with EADDRNOTAVAIL or soon will:\n"
    "ephemeral ports and what keeps them, TIME-WAIT settings and counters, connection tracking, IPv6, what the kernel\n"
    "can do; and whether PROGRAM can be preloaded. Changes nothing, sends no packet.\n"
    "\n"
    "  -o, --output FORMAT    text (the default) or json: one object a line for each finding\n"
    "\n"
    "Findings are error (do something), warning, unknown (could not be found out) and ok. Works for every user; only\n"
    "root can name the processes of all.\n"
    "Exits with 0, 1 if there is an error, 2 for a usage error.\n";

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    const char *program;
    bool json;
};

static const char *const severity_name[SEVERITIES] = {
    [SEVERITY_ERROR] = "error", [SEVERITY_WARNING] = "warning", [SEVERITY_UNKNOWN] = "unknown", [SEVERITY_OK] = "ok"};

static bool take_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* -o is the only one */
    return arguments_format("doctor", optarg, &a->json);
}

static int take_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"doctor", help, "+o:h", options, take_option};
    int wrong = arguments_read(&line, argc, argv, &(struct chosen){0}, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    a->program = argv[optind];
    if (argc - optind > 1)
        complain("doctor: %s: doctor looks at one program; try: once for each", argv[optind + 1]);
    return argc - optind > 1 ? EXIT_USAGE : ARGUMENTS_GOOD;
}

static bool look_at_program(struct host_facts *f, const char *name) {
    f->has_program = find_program(f->program, name);
    if (!f->has_program) {
        complain("doctor: %s: there is no such program; try: its path", name);
        return false;
    }
    f->preloadable = preloadable(f->program);
    return true;
}

static void gather(struct host_facts *f) {
    doctor_read_sysctls(f);
    doctor_read_conntrack(f);
    doctor_look_at_sockets(f);
    doctor_try_features(f);
    holders_find(&f->ports, &f->held);
}

static void print_string(const char *key, const char *text) {
    char out[6 * FINDING_TEXT + 3];
    struct sink s;
    sink_init(&s, out, sizeof out);
    sink_json(&s, text, FINDING_TEXT);
    (void)sink_finish(&s);
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
    char reason[FINDING_TEXT];
    struct sink s;
    sink_init(&s, reason, sizeof reason);
    sink_plain(&s, f->reason, sizeof f->reason);
    (void)sink_finish(&s);
    printf("%-8s %s: %s\n", severity_name[f->severity], f->name, reason);
    if (f->remedy[0])
        printf("%-8s try: %s\n", "", f->remedy);
}

/* What needs something done comes first. */
static void print(const struct findings *all, bool json) {
    for (unsigned severity = 0; severity < SEVERITIES; severity++)
        for (unsigned i = 0; i < all->n; i++)
            if (all->finding[i].severity == severity)
                (json ? print_json : print_text)(&all->finding[i]);
}

static int examine(const struct arguments *a, struct host_facts *facts, struct findings *found) {
    if (a->program && !look_at_program(facts, a->program))
        return EXIT_USAGE;
    gather(facts);
    doctor_judge_program(facts, found);
    doctor_judge(facts, found);
    print(found, a->json);
    for (unsigned i = 0; i < found->n; i++)
        if (found->finding[i].severity == SEVERITY_ERROR)
            return EXIT_FOUND;
    return EXIT_DONE;
}

int doctor_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = take_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    struct host_facts *facts = calloc(1, sizeof *facts);
    struct findings *found = calloc(1, sizeof *found);
    int status = EXIT_FOUND;
    if (facts && found)
        status = examine(&a, facts, found);
    else
        complain("no memory");
    free(facts);
    free(found);
    return status;
}
