/* connspread ls: which instances there are, how many processes run under them, in which mode, and where their state
 * files lie. */
#include "tool/ls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/control.h"
#include "state/copy.h"
#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/common/strbuf.h"
#include "tool/reader/instances.h"
#include "tool/reader/state_files.h"

static const char help[] =
    "usage: connspread ls [-o text|json] [-c CONF | -i INSTANCE]\n"
    "\n"
    "Lists the instances of this host: how many processes run under each, the mode in force, and the folder of the\n"
    "state file, to be given as CONNSPREAD_DIR where another command does not find it by itself.\n"
    "\n"
    "  -o, --output FORMAT    text (the default), or json: one object a line\n"
    "  -i, --instance NAME    only this instance\n"
    "  -c, --config CONF      only the instance that belongs to this config file\n"
    "\n"
    "Users see their own instances, and those of which they may read the file; root sees all.\n"
    "Exits with 0, 1 if there is none, 2 for a usage error.\n";

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"instance", required_argument, NULL, 'i'},
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    bool json;
};

/* One row. */
struct listed {
    const char *instance, *folder, *config, *trouble; /* trouble: why it cannot be read; NULL: it can */
    char mode[OVERRIDE_TEXT];
    unsigned uid, clients, hidden;
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* -o is the only one */
    return arguments_format("ls", optarg, &a->json);
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"ls", help, "o:i:c:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc)
        warn("ls: %s: it takes no argument; name an instance with -i", argv[optind]);
    return optind == argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

static void print_json(const struct listed *l) {
    const struct {
        const char *key, *text;
    } member[] = {{"{\"instance\":", l->instance},
                  {",\"folder\":", l->folder},
                  {",\"config\":", l->config},
                  {",\"mode\":", l->mode[0] ? l->mode : NULL},
                  {",\"trouble\":", l->trouble}};
    for (unsigned i = 0; i < sizeof member / sizeof *member; i++) {
        char text[6 * STATE_PATH + 3] = "null";
        struct strbuf s;
        if (member[i].text) {
            strbuf_init(&s, text, sizeof text);
            strbuf_json(&s, member[i].text, STATE_PATH);
            (void)strbuf_finish(&s);
        }
        printf("%s%s", member[i].key, text);
    }
    printf(",\"uid\":%u,\"clients\":%u,\"hidden\":%u}\n", l->uid, l->clients, l->hidden);
}

static void print_text(const struct listed *l) {
    const char *mode = l->mode;
    char clients[32];
    if (strncmp(mode, "mode ", 5) == 0)
        mode += 5;
    snprintf(clients, sizeof clients, l->hidden ? "%u or more" : "%u", l->clients);
    say("%-16s %-10s %-6u %-38s %s", l->instance, clients, l->uid, l->trouble ? "unknown" : mode,
        l->folder ? l->folder : "(none: private memory)");
    if (l->trouble)
        say("%-16s %s", "", l->trouble);
}

static void print(const struct listed *l, bool json, unsigned *n) {
    if (!json && (*n)++ == 0)
        printf("%-16s %-10s %-6s %-38s %s\n", "INSTANCE", "CLIENTS", "UID", "MODE", "FOLDER");
    else if (json)
        (*n)++;
    (json ? print_json : print_text)(l);
}

/* What the file says: mode and config. */
static void look_into(const struct state_file *f, struct listed *l, struct policy *policy) {
    struct state s;
    struct settings settings;
    int error = f->error;
    enum state_error result = f->usable == STATE_OK ? state_file_copy(f, &s, COPY_EVENTS, &error) : f->usable;
    if (result != STATE_OK) {
        l->trouble = state_error_text(result, error);
        return;
    }
    bool known = state_settings(&s, &settings);
    override_text(l->mode, control_unpack(__atomic_load_n(&s.header->control, __ATOMIC_RELAXED)),
                  known ? &settings : NULL);
    if (state_policy(&s, policy)) {
        policy->path[sizeof policy->path - 1] = '\0';
        l->config = policy->path[0] ? policy->path : NULL;
    }
    state_release(&s);
}

static unsigned list_files(const struct state_files *files, const char *only, bool json, struct policy *policy) {
    unsigned n = 0;
    for (size_t i = 0; i < files->n; i++) {
        const struct state_file *f = &files->file[i];
        char folder[STATE_PATH];
        if (!f->instance[0] || (only && strcmp(only, f->instance) != 0))
            continue;
        snprintf(folder, sizeof folder, "%s", f->path);
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = '\0';
        struct listed l = {.instance = f->instance,
                           .folder = folder,
                           .uid = (unsigned)f->identity.st_uid,
                           .clients = f->users,
                           .hidden = f->hidden};
        look_into(f, &l, policy);
        print(&l, json, &n);
    }
    return n;
}

/* Clients whose file is gone, or that could have none. */
static unsigned list_lost(const struct instances *running, const char *only, bool json, unsigned n) {
    for (size_t i = 0; i < running->n; i++) {
        const struct instance *one = &running->instance[i];
        if (one->path[0] || (only && strcmp(only, one->name) != 0))
            continue;
        const struct listed l = {.instance = one->name[0] ? one->name : "?",
                                 .config = one->config[0] ? one->config : NULL,
                                 .trouble = one->has_file ? "its state file was removed or cannot be opened"
                                                          : "it could not have a state file",
                                 .uid = one->uid,
                                 .clients = one->processes};
        print(&l, json, &n);
    }
    return n;
}

static int list(const struct arguments *a, const struct location *where, struct policy *policy) {
    const char *only = a->chosen.instance || a->chosen.config ? where->instance : NULL;
    struct state_files files;
    struct instances running;
    if (!state_files_find(&files, where->folder, true)) {
        warn("no memory");
        return EXIT_FOUND;
    }
    unsigned n = list_files(&files, only, a->json, policy);
    state_files_warn(&files);
    state_files_free(&files);
    bool good = instances_find(&running);
    if (good)
        n = list_lost(&running, only, a->json, n);
    if (n == 0)
        warn("%s: no instance%s: nothing has run under connspread yet, as far as this user can see; try: connspread "
             "run -- PROGRAM",
             where->folder, only ? " of this name" : "");
    instances_free(&running);
    return n ? EXIT_DONE : EXIT_FOUND;
}

int ls_main(int argc, char **argv) {
    struct arguments a = {0};
    struct location where;
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!arguments_locate(&a.chosen, &where))
        return EXIT_USAGE;
    struct policy *policy = calloc(1, sizeof *policy);
    int status = EXIT_FOUND;
    if (policy)
        status = list(&a, &where, policy);
    else
        warn("no memory: %zu bytes are needed", sizeof *policy);
    free(policy);
    return status;
}
