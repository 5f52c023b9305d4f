/* connspread quads: how full the quadruplets of each source and destination are, as the kernel has it at this moment.
 * No state file, no config: it is about every socket of this network namespace. */

#include "tool/quads/quads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/host/host.h"
#include "tool/host/socket_count.h"
#include "tool/common/text_file.h"
#include "tool/quads/print.h"
#include "tool/quads/model.h"
#include "tool/screen/live.h"

/* BESIDE: lines of text besides those of pairs. */
enum { TEXT_PAIRS = 20, PROMETHEUS_PAIRS = 100, BESIDE = 12, TIMEOUT_MS = 120000, DRAINED_EVERY_MS = 200 };

static const char help[] =
    "usage: connspread quads [-o text|json|prometheus] [--to ADDRESS[:PORT]] [--inbound] [--top N]\n"
    "                        [-p] [-w [SECONDS]] [--every TIME] [--wait PERCENT [--timeout TIME]] [--wide]\n"
    "\n"
    "Shows how full the quadruplets between each source and destination are, fullest first: connections by state,\n"
    "the share of the ephemeral ports that they take, and when the next TIME-WAIT gives one back.\n"
    "\n"
    "  -o, --output FORMAT    text (the default), json: one object a line for each pair, or prometheus\n"
    "      --to ADDRESS       only this destination: ADDRESS[/LEN][:PORT[-PORT]], IPv6 in brackets before a port;\n"
    "                         \"*:443\" is every address\n"
    "      --inbound          accepted connections, by client address and the address that it came to, as on a web\n"
    "                         server behind a balancer; --to is then an address of this host\n"
    "      --top N            only the N fullest; 0: all (default: 20 as text, 100 for prometheus, all as json)\n"
    "  -p, --processes        name the processes that have the sockets open, of the 64 fullest pairs at most; root "
    "sees\n"
    "                         all, others their own. The kernel does not know whose a TIME-WAIT was\n"
    "  -w, --watch            again and again, every SECONDS (default: 2); on a terminal the whole of it, as a live "
    "view:\n"
    "                         q ends it, a space looks at once; seldomer where a look takes more than 1 % of a "
    "processor\n"
    "      --every TIME       with -w: another interval (500ms, 10s)\n"
    "      --wait PERCENT     until no pair (with --to: of that destination) has more of its ports taken: 10%, 0%\n"
    "      --timeout TIME     with --wait: give up after that (default: 2m)\n"
    "      --wide             as wide as it is, on a terminal too\n"
    "\n"
    "Column \"outside\" counts those that have a source port outside of net.ipv4.ip_local_port_range; they do not "
    "take\n"
    "of its capacity. Accepted is what has the port of a listener; connections of a listener that is gone show as\n"
    "outbound. Works for every user; kernel memory is shown to root only.\n"
    "Exits with 0, 1 if the sockets cannot be listed or --wait gave up, 2 for a usage error.\n";

enum { OPTION_TO = 256, OPTION_INBOUND, OPTION_TOP, OPTION_EVERY, OPTION_WAIT, OPTION_TIMEOUT };

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"to", required_argument, NULL, OPTION_TO},
    {"inbound", no_argument, NULL, OPTION_INBOUND},
    {"top", required_argument, NULL, OPTION_TOP},
    {"processes", no_argument, NULL, 'p'},
    {"watch", no_argument, NULL, 'w'},
    {"every", required_argument, NULL, OPTION_EVERY},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct policy_target to;
    uint32_t every_ms, timeout_ms;
    double percent; /* with wait */
    size_t top;
    bool json, prometheus, has_to, has_top, inbound, watch, processes, wait, has_timeout;
};

static bool parse_format(struct arguments *a, const char *text) {
    a->json = strcmp(text, "json") == 0;
    a->prometheus = strcmp(text, "prometheus") == 0;
    if (a->json || a->prometheus || strcmp(text, "text") == 0)
        return true;
    warn("quads: -o %s is not a format; try: text, json or prometheus", text);
    return false;
}

static bool parse_to(struct arguments *a, const char *text) {
    return a->has_to = arguments_target("quads", "--to", text, &a->to);
}

static bool parse_top(struct arguments *a, const char *text) {
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    a->has_top = text[0] >= '0' && text[0] <= '9' && !*end && !errno;
    a->top = n;
    if (!a->has_top)
        warn("quads: --top %s is not a number; try: 20, or 0 for all", text);
    return a->has_top;
}

static bool parse_interval(struct arguments *a, const char *text) {
    if (!arguments_duration("quads", "--every", text, &a->every_ms))
        return false;
    if (a->every_ms == 0)
        warn("quads: --every %s: the interval must be more than 0; try: 1s", text);
    return a->every_ms != 0;
}

static bool parse_wait(struct arguments *a, const char *text) {
    char *end;
    a->percent = strtod(text, &end);
    a->wait = text[0] >= '0' && text[0] <= '9' && (!*end || strcmp(end, "%") == 0) && a->percent <= 100;
    if (!a->wait)
        warn("quads: --wait %s is not a share of the ports, 0%% to 100%%; try: 10%%", text);
    return a->wait;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    switch (option) {
    case 'o':
        return parse_format(a, optarg);
    case OPTION_TO:
        return parse_to(a, optarg);
    case OPTION_INBOUND:
        return a->inbound = true;
    case OPTION_TOP:
        return parse_top(a, optarg);
    case 'p':
        return a->processes = true;
    case 'w':
        return a->watch = true;
    case OPTION_WAIT:
        return parse_wait(a, optarg);
    case OPTION_TIMEOUT:
        return a->has_timeout = arguments_duration("quads", "--timeout", optarg, &a->timeout_ms);
    default:
        return parse_interval(a, optarg);
    }
}

/* What was not given. */
static int settle_arguments(struct arguments *a) {
    if (!a->has_timeout)
        a->timeout_ms = TIMEOUT_MS;
    if (!a->has_top)
        a->top = a->json ? 0 : a->prometheus ? PROMETHEUS_PAIRS : TEXT_PAIRS;
    if (!a->every_ms)
        a->every_ms = LIVE_EVERY_MS;
    return ARGUMENTS_GOOD;
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"quads", help, "o:pwh", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &(struct chosen){0}, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    const char *argument = argv[optind];
    if (a->watch && argument && !a->every_ms) {
        if (!arguments_every("quads", argument, &a->every_ms))
            return EXIT_USAGE;
        argument = argv[optind + 1];
    }
    if (argument)
        warn("quads: %s: quads takes no argument; try: --to for a destination", argument);
    else if (a->every_ms && !a->watch)
        warn("quads: --every only goes with -w; try: add -w");
    else if (a->prometheus && (a->watch || a->processes))
        warn("quads: -o prometheus is one look, at pairs; try: without -w and -p");
    else if (a->wait && a->watch)
        warn("quads: --wait and -w are two ways to look again; try: one of them");
    else if (a->has_timeout && !a->wait)
        warn("quads: --timeout only goes with --wait; try: add --wait 10%%");
    else
        return settle_arguments(a);
    return EXIT_USAGE;
}

static void look_at_memory(struct quads_report *r) {
    char *slabinfo = text_file("/proc/slabinfo");
    r->slab_denied = !slabinfo;
    if (slabinfo) {
        r->slab[0] = slab_object_bytes(slabinfo, "tw_sock_TCP");
        r->slab[1] = slab_object_bytes(slabinfo, "tw_sock_TCPv6");
    }
    free(slabinfo);
}

/* To be freed. NULL: no memory. *error: why not all could be found out, or 0. */
static struct socket_users *look_at_users(struct quads_report *r, int *error) {
    size_t wanted = r->top && r->top < r->table->n ? r->top : r->table->n;
    size_t n = wanted < SOCKET_USERS_PAIRS ? wanted : SOCKET_USERS_PAIRS;
    struct socket_users *users = calloc(n + 1, sizeof *users);
    *error = users ? 0 : -ENOMEM;
    for (size_t i = 0; users && i < n; i++) {
        const struct quads_pair *p = &r->table->pair[i];
        users[i] = (struct socket_users){
            .source = p->source, .destination = p->destination, .port = p->port, .inbound = r->table->inbound};
    }
    if (users && n)
        *error = socket_users_find(users, n);
    r->users = users;
    r->n_users = users ? n : 0;
    return users;
}

/* One look at the sockets, and what is needed to print it. */
struct view {
    const struct arguments *a;
    struct quads_table table;
    struct quads_report report;
    struct socket_users *users;
    bool looked; /* before this look */
    char wrong[128];
};

/* What is wrong at one look is wrong at the next, and a live view has the screen to itself. */
static bool may_warn(const struct view *v) {
    return !v->looked && (v->a->json || !v->a->watch);
}

static void forget(struct view *v) {
    quads_free(&v->table);
    free(v->users);
    v->users = NULL;
}

/* NULL, or why the sockets cannot be listed. */
static const char *look(void *context) {
    struct view *v = context;
    const struct arguments *a = v->a;
    struct quads_listeners *l = calloc(1, sizeof *l);
    struct host_ports ports;
    const char *what;
    forget(v);
    if (!l)
        return "no memory";
    if (!host_look_at_ports(&ports, &what) && may_warn(v))
        warn("%s: %s: the kernel's defaults are assumed", what, strerror(errno));
    v->table = (struct quads_table){.ephemeral = ports.ephemeral, .listeners = l, .inbound = a->inbound};
    tw_reuse_look(&v->table.reuse);
    int error = quads_take(&v->table, l, a->has_to ? &a->to : NULL);
    quads_listeners_free(l);
    free(l);
    if (error) {
        snprintf(v->wrong, sizeof v->wrong, "the sockets of this network namespace cannot be listed: %s",
                 strerror(-error));
        return v->wrong;
    }
    v->report = (struct quads_report){.table = &v->table, .ports = ports, .time_us = time_now_us(), .top = a->top};
    v->report.capacity = quads_capacity(&ports, a->inbound);
    look_at_memory(&v->report);
    quads_sort(&v->table);
    if (a->processes)
        v->users = look_at_users(&v->report, &error);
    if (error && may_warn(v))
        warn("the processes cannot be found out: %s; try: without -p", strerror(-error));
    v->looked = true;
    return NULL;
}

static void draw(void *context, const struct screen *to, unsigned lines) {
    struct view *v = context;
    size_t each = v->a->processes ? 2 : 1; /* a line of its owners, where they fit into one */
    size_t fit = lines >= BESIDE + each ? (lines - BESIDE) / each : 1;
    if (lines)
        v->report.top = v->a->has_top && v->a->top && v->a->top < fit ? v->a->top : fit;
    quads_print_text(&v->report, to);
}

static void print(struct view *v) {
    const struct screen to = screen_stdout();
    if (v->a->json)
        quads_print_json(&v->report);
    else if (v->a->prometheus)
        quads_print_prometheus(&v->report);
    else
        quads_print_text(&v->report, &to);
}

static void wait_ms(uint32_t ms) {
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* As JSON: one look after the other, each as soon as its time has come. */
static const char *print_again_and_again(struct view *v) {
    const char *wrong = NULL;
    while (!wrong && fflush(stdout) == 0) {
        wait_ms(v->a->every_ms);
        wrong = look(v);
        if (!wrong)
            print(v);
    }
    return wrong;
}

/* How full the pair is that has most of its ports taken, in percent; 0: there is none. */
static double fullest(const struct view *v) {
    double most = 0;
    for (size_t i = 0; i < v->table.n; i++) {
        double percent = quads_percent(&v->table.pair[i], v->report.capacity);
        most = percent > most ? percent : most;
    }
    return most;
}

/* *drained: whether that came in time; the last look is what is printed in any case. */
static const char *wait_until_drained(struct view *v, bool *drained) {
    const struct arguments *a = v->a;
    uint64_t end = clock_ns(CLOCK_MONOTONIC) / 1000000u + a->timeout_ms;
    for (;;) {
        const char *wrong = look(v);
        if (wrong)
            return wrong;
        uint64_t now = clock_ns(CLOCK_MONOTONIC) / 1000000u;
        double full = fullest(v);
        *drained = full <= a->percent;
        if (!*drained && now >= end)
            warn("quads: %.2f %% of the ports of the fullest pair are taken, more than %g %%; try: a longer --timeout, "
                 "a TIME-WAIT lasts %d s",
                 full, a->percent, TIME_WAIT_SECONDS);
        if (*drained || now >= end)
            return NULL;
        wait_ms(end - now < DRAINED_EVERY_MS ? (uint32_t)(end - now) : DRAINED_EVERY_MS);
    }
}

int quads_main(int argc, char **argv) {
    struct arguments a = {0};
    int bad = parse_arguments(argc, argv, &a);
    if (bad != ARGUMENTS_GOOD)
        return bad;
    struct view v = {.a = &a};
    const char *wrong;
    bool drained = true;
    if (a.watch && !a.json) {
        wrong = live_run(&(struct live){"connspread quads", a.every_ms, &v, look, draw});
    } else {
        wrong = a.wait ? wait_until_drained(&v, &drained) : look(&v);
        if (!wrong)
            print(&v);
        if (!wrong && a.watch)
            wrong = print_again_and_again(&v);
    }
    if (wrong)
        warn("%s", wrong);
    forget(&v);
    return wrong || !drained ? EXIT_FOUND : EXIT_DONE;
}
