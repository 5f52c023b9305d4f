/* connspread quads: how full the quadruplets of each source and destination are, as the kernel has it at this moment.
 * No state file, no config: it is about every socket of this network namespace. */

#include "tool/quads/quads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/host/host.h"
#include "tool/host/socket_count.h"
#include "tool/common/text_file.h"
#include "tool/quads/print.h"
#include "tool/quads/model.h"

enum { TEXT_PAIRS = 20, PROMETHEUS_PAIRS = 100, EVERY_MS = 2000 };

static const char help[] =
    "usage: connspread quads [-o text|json|prometheus] [--to ADDRESS[:PORT]] [--inbound] [--top N]\n"
    "                        [-p] [-w] [--every TIME] [--wide]\n"
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
    "  -w, --watch            again and again, every 2 s\n"
    "      --every TIME       with -w: another interval (500ms, 10s)\n"
    "      --wide             as wide as it is, on a terminal too\n"
    "\n"
    "Column \"outside\" counts those that have a source port outside of net.ipv4.ip_local_port_range; they do not "
    "take\n"
    "of its capacity. Accepted is what has the port of a listener; connections of a listener that is gone show as\n"
    "outbound. Works for every user; kernel memory is shown to root only.\n"
    "Exits with 0, 1 if the sockets cannot be listed, 2 for a usage error.\n";

enum { OPTION_TO = 256, OPTION_INBOUND, OPTION_TOP, OPTION_EVERY };

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"to", required_argument, NULL, OPTION_TO},
    {"inbound", no_argument, NULL, OPTION_INBOUND},
    {"top", required_argument, NULL, OPTION_TOP},
    {"processes", no_argument, NULL, 'p'},
    {"watch", no_argument, NULL, 'w'},
    {"every", required_argument, NULL, OPTION_EVERY},
    {"wide", no_argument, NULL, OPTION_WIDE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct policy_target to;
    uint32_t every_ms;
    size_t top;
    bool json, prometheus, has_to, has_top, inbound, watch, processes;
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
    default:
        return parse_interval(a, optarg);
    }
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"quads", help, "o:pwh", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &(struct chosen){0}, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    const char *argument = argv[optind];
    if (argument)
        warn("quads: %s: quads takes no argument; try: --to for a destination", argument);
    else if (a->every_ms && !a->watch)
        warn("quads: --every only goes with -w; try: add -w");
    else if (a->prometheus && (a->watch || a->processes))
        warn("quads: -o prometheus is one look, at pairs; try: without -w and -p");
    if (argument || (a->every_ms && !a->watch) || (a->prometheus && (a->watch || a->processes)))
        return EXIT_USAGE;
    if (!a->has_top)
        a->top = a->json ? 0 : a->prometheus ? PROMETHEUS_PAIRS : TEXT_PAIRS;
    if (!a->every_ms)
        a->every_ms = EVERY_MS;
    return ARGUMENTS_GOOD;
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

/* To be freed. NULL: none could be found out, which has been said. */
static struct socket_users *look_at_users(struct quads_report *r) {
    size_t wanted = r->top && r->top < r->table->n ? r->top : r->table->n;
    size_t n = wanted < SOCKET_USERS_PAIRS ? wanted : SOCKET_USERS_PAIRS;
    struct socket_users *users = calloc(n + 1, sizeof *users);
    int error = users ? 0 : -ENOMEM;
    for (size_t i = 0; users && i < n; i++) {
        const struct quads_pair *p = &r->table->pair[i];
        users[i] = (struct socket_users){
            .source = p->source, .destination = p->destination, .port = p->port, .inbound = r->table->inbound};
    }
    if (users && n)
        error = socket_users_find(users, n);
    if (error)
        warn("the processes cannot be found out: %s", strerror(-error));
    r->users = users;
    r->n_users = users ? n : 0;
    return users;
}

static void print(const struct arguments *a, struct quads_table *t, const struct host_ports *ports) {
    const struct screen to = screen_stdout();
    struct quads_report r = {.table = t, .ports = *ports, .time_us = time_now_us(), .top = a->top};
    r.capacity = quads_capacity(ports, a->inbound);
    look_at_memory(&r);
    quads_sort(t);
    struct socket_users *users = a->processes ? look_at_users(&r) : NULL;
    if (a->watch && !a->json)
        fputs(isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "\n", stdout);
    if (a->json)
        quads_print_json(&r);
    else if (a->prometheus)
        quads_print_prometheus(&r);
    else
        quads_print_text(&r, &to);
    free(users);
}

static bool look(const struct arguments *a) {
    struct quads_listeners *l = calloc(1, sizeof *l);
    struct host_ports ports;
    const char *what;
    if (!l) {
        warn("no memory");
        return false;
    }
    if (!host_look_at_ports(&ports, &what))
        warn("%s: %s: the kernel's defaults are assumed", what, strerror(errno));
    struct quads_table t = {.ephemeral = ports.ephemeral, .listeners = l, .inbound = a->inbound};
    tw_reuse_look(&t.reuse);
    int error = quads_take(&t, l, a->has_to ? &a->to : NULL);
    if (error == 0)
        print(a, &t, &ports);
    else
        warn("the sockets of this network namespace cannot be listed: %s", strerror(-error));
    quads_free(&t);
    quads_listeners_free(l);
    free(l);
    return error == 0;
}

static void wait_ms(uint32_t ms) {
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

int quads_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    bool good = look(&a);
    while (good && a.watch && fflush(stdout) == 0) {
        wait_ms(a.every_ms);
        good = look(&a);
    }
    return good ? EXIT_DONE : EXIT_FOUND;
}
