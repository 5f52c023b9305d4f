#include "tool/set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/common/actor.h"
#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/events/tool_event.h"
#include "state/control.h"
#include "tool/reader/instances.h"
#include "tool/reader/instances_say.h"
#include "tool/common/state_write.h"

static const char help[] =
    "usage: connspread set [--for-later] [-c CONF] [-i INSTANCE | --all] [mode=MODE] [canary=PERCENT]\n"
    "\n"
    "Overrides the config of an instance for all its clients, running and to come, from their next call on. The\n"
    "override outlives reloads and restarts; it ends with mode=config canary=config. Says how many processes follow.\n"
    "When none does, nothing is changed, and the instances that run elsewhere are named, each with what reaches it.\n"
    "\n"
    "  mode=enforce|observe|off|config\n"
    "  canary=0..100|config   percent that spreads, the others are the control arm\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "      --all              every instance that is running, wherever its folder is; for root those of all users\n"
    "      --for-later        also when no process follows, for clients to come; the state file must be there\n"
    "\n"
    "Processes with CONNSPREAD_MODE keep that mode, which is said. An override event in the log names the user.\n"
    "Exits with 0, 1 if no process follows, or one of this instance is not reached so, 2 for a usage error.\n";

enum { OPTION_ALL = 256, OPTION_LATER };

static const struct option options[] = {
    {"all", no_argument, NULL, OPTION_ALL},   {"for-later", no_argument, NULL, OPTION_LATER},
    {"config", required_argument, NULL, 'c'}, {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},         {0},
};

struct arguments {
    struct chosen chosen;
    bool all, later;
    bool sets_mode, sets_canary;
    struct control control; /* without has_: back to the config's */
    char text[32];          /* of the settings, for messages */
};

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    return option == OPTION_ALL ? (a->all = true) : (a->later = true);
}

static bool parse_mode(struct arguments *a, const char *value) {
    int mode = override_mode(value);
    a->sets_mode = true;
    a->control.has_mode = mode >= 0;
    a->control.mode = mode >= 0 ? (uint8_t)mode : 0;
    if (mode >= 0 || strcmp(value, "config") == 0)
        return true;
    warn("set: mode=%s is not a mode; try: enforce, observe, off or config", value);
    return false;
}

static bool parse_canary(struct arguments *a, const char *value) {
    unsigned percent = 0;
    bool number = value[0] != 0 && strlen(value) <= 3;
    for (const char *p = value; *p && number; p++) {
        number = *p >= '0' && *p <= '9';
        percent = percent * 10 + (unsigned)(*p - '0');
    }
    number = number && percent <= 100;
    a->sets_canary = true;
    a->control.has_canary = number;
    a->control.canary = number ? (uint8_t)percent : 0;
    if (number || strcmp(value, "config") == 0)
        return true;
    warn("set: canary=%s is not a percentage; try: 0 to 100, or config", value);
    return false;
}

static bool parse_setting(struct arguments *a, const char *text) {
    if (strncmp(text, "mode=", 5) == 0 && !a->sets_mode)
        return parse_mode(a, text + 5);
    if (strncmp(text, "canary=", 7) == 0 && !a->sets_canary)
        return parse_canary(a, text + 7);
    warn("set: %s cannot be set, or stands here twice; try: mode=MODE and canary=PERCENT, each once", text);
    return false;
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"set", help, "c:i:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind == argc)
        warn("set: no setting is named; try: mode=enforce|observe|off|config, canary=0..100|config");
    for (int i = optind; i < argc; i++)
        if (!parse_setting(a, argv[i]))
            return EXIT_USAGE;
    if (a->all && (a->chosen.config || a->chosen.instance || a->later)) {
        warn("set: --all means every instance that runs; try: without -c, -i and --for-later");
        return EXIT_USAGE;
    }
    snprintf(a->text, sizeof a->text, "%s%s%s", optind < argc ? argv[optind] : "", optind + 1 < argc ? " " : "",
             optind + 1 < argc ? argv[optind + 1] : "");
    return optind < argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

/* What is not set stays as it is, even if another `set` comes between. */
static void override(struct state *s, const struct arguments *a, struct control *before, struct control *after) {
    uint64_t *word = &s->header->control, old = __atomic_load_n(word, __ATOMIC_RELAXED), new;
    do {
        *before = *after = control_unpack(old);
        if (a->sets_mode) {
            after->has_mode = a->control.has_mode;
            after->mode = a->control.mode;
        }
        if (a->sets_canary) {
            after->has_canary = a->control.has_canary;
            after->canary = a->control.canary;
        }
        new = control_pack(*after);
    } while (!__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

static void set(struct state *s, const struct arguments *a, const char *instance, unsigned followers) {
    char actor[ACTOR_TEXT], was[OVERRIDE_TEXT], is[OVERRIDE_TEXT], text[EVENT_TEXT];
    struct control before, after;
    struct settings settings;
    bool has_policy = state_settings(s, &settings);
    override(s, a, &before, &after);
    override_text(was, before, has_policy ? &settings : NULL);
    override_text(is, after, has_policy ? &settings : NULL);
    actor_name(actor);
    snprintf(text, sizeof text, "%s; before: %s; by %s", is, was, actor);
    if (!tool_event(s, EVENT_OVERRIDE, text))
        warn("the override event was dropped: the log does not show this change");
    say("instance %s: %s", instance, is);
    say("before: %s", was);
    override_followers(followers);
}

/* Returns the exit status. */
static int set_followed(struct state *s, const struct arguments *a, const char *name, const struct instance *i) {
    set(s, a, name, i->processes);
    if (!a->sets_mode || !i->fixed)
        return EXIT_DONE;
    warn(
        "%u of these processes keep%s the mode of CONNSPREAD_MODE in the environment (connspread run -m); try: restart "
        "them without it",
        i->fixed, i->fixed == 1 ? "s" : "");
    return EXIT_FOUND;
}

/* No process is seen to map it. Some may have said so themselves; it never hurts to brake those. */
static bool set_unseen(struct state *s, const struct arguments *a, const struct location *where) {
    unsigned closed = instances_closed_to_us(s);
    if (!closed && !a->later)
        return false;
    set(s, a, where->instance, 0);
    if (closed)
        warn("%s: %u process%s that cannot be looked into from here had connections open: it is not known whether they "
             "live and follow",
             where->state_file, closed, closed == 1 ? "" : "es");
    else
        puts("clients to come will follow");
    return true;
}

static int set_one(const struct arguments *a, const struct instances *running) {
    struct location where;
    struct state s;
    int number = 0, status = EXIT_DONE;
    if (!arguments_locate(&a->chosen, &where))
        return EXIT_USAGE;
    enum state_error result = state_write_for_owner(&s, where.state_file, &number);
    if (result != STATE_OK) {
        warn("%s: %s", where.state_file, state_error_text(result, number));
        warn("nothing was changed");
        instances_say_all(running, &where, "set", a->text);
        return EXIT_FOUND;
    }
    const struct instance *ours = instances_of(running, &s);
    if (ours)
        status = set_followed(&s, a, where.instance, ours);
    if (!ours && !set_unseen(&s, a, &where)) {
        warn("%s: no living process follows it: nothing was changed", where.state_file);
        instances_say_all(running, &where, "set", a->text);
        warn("for clients to come: try: connspread set --for-later with the same arguments");
        status = EXIT_FOUND;
    } else if (instances_say_others(running, ours, &where, "set", a->text)) {
        status = EXIT_FOUND;
    }
    state_unmap(&s);
    return status;
}

static int set_running(const struct arguments *a, const struct instance *i) {
    struct state s;
    char path[INSTANCES_WORD], name[INSTANCES_WORD];
    int number = 0;
    if (!i->path[0] || state_write_for_owner(&s, i->path, &number) != STATE_OK) {
        instance_say(i, "set", a->text);
        return EXIT_FOUND;
    }
    printf("%s: ", instances_word(path, i->path));
    int status = set_followed(&s, a, instances_word(name, i->name), i);
    state_unmap(&s);
    return status;
}

/* In a process of its own: what the owner of one file does to it meanwhile, or takes away, is nothing to the others. */
static int set_apart(const struct arguments *a, const struct instance *i) {
    int status = 0;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        status = set_running(a, i);
        _exit(fflush(stdout) == 0 ? status : EXIT_FOUND);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FOUND;
}

static int set_all(const struct arguments *a, const struct instances *running) {
    int status = running->n ? EXIT_DONE : EXIT_FOUND;
    if (running->n == 0)
        warn("no instance is running, as far as can be seen from here: nothing was changed");
    for (size_t n = 0; n < running->n; n++)
        if (set_apart(a, &running->instance[n]) != EXIT_DONE)
            status = EXIT_FOUND;
    return status;
}

int set_main(int argc, char **argv) {
    struct arguments a = {0};
    struct instances running;
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!instances_find(&running)) {
        warn("no memory");
        return EXIT_FOUND;
    }
    int status = a.all ? set_all(&a, &running) : set_one(&a, &running);
    instances_free(&running);
    return status;
}
