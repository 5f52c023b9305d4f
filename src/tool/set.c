#include "tool/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/actor.h"
#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/common/settings.h"
#include "tool/events/tool_event.h"
#include "state/create.h"
#include "state/control.h"

static const char help[] =
    "usage: connspread set [-c CONF] [-i INSTANCE] [mode=MODE] [canary=PERCENT]\n"
    "\n"
    "Overrides the config of an instance for all its clients, running and to come, from their next call on. The\n"
    "override outlives reloads and restarts; it ends with mode=config canary=config.\n"
    "\n"
    "  mode=enforce|observe|off|config\n"
    "  canary=0..100|config   percent that spreads, the others are the control arm\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "Processes with CONNSPREAD_MODE keep that mode. A control event in the log says who did it.\n"
    "Exits with 0, 1 if the state file cannot be written, 2 for a usage error.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    bool sets_mode, sets_canary;
    struct control control; /* without has_: back to the config's */
};

static bool take_mode(struct arguments *a, const char *value) {
    int mode = dial_mode(value);
    a->sets_mode = true;
    a->control.has_mode = mode >= 0;
    a->control.mode = mode >= 0 ? (uint8_t)mode : 0;
    if (mode >= 0 || strcmp(value, "config") == 0)
        return true;
    complain("set: mode=%s is not a mode: enforce, observe, off or config", value);
    return false;
}

static bool take_canary(struct arguments *a, const char *value) {
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
    complain("set: canary=%s is not a percentage: 0 to 100, or config", value);
    return false;
}

static bool take_setting(struct arguments *a, const char *text) {
    if (strncmp(text, "mode=", 5) == 0 && !a->sets_mode)
        return take_mode(a, text + 5);
    if (strncmp(text, "canary=", 7) == 0 && !a->sets_canary)
        return take_canary(a, text + 7);
    complain("set: %s: mode=MODE and canary=PERCENT can be set, each once", text);
    return false;
}

static int take_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"set", help, "c:i:h", options, NULL};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind == argc)
        complain("set: nothing to set: mode=enforce|observe|off|config, canary=0..100|config");
    for (int i = optind; i < argc; i++)
        if (!take_setting(a, argv[i]))
            return EXIT_USAGE;
    return optind < argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

/* An override may come before the first client: the file is made then, as a client would make it. */
static enum state_error open_state(struct state *s, const struct location *where, int *error) {
    enum state_error result = state_map(s, where->state_file, true, true, error);
    if (result != STATE_ABSENT)
        return result;
    struct policy *policy = calloc(1, sizeof *policy);
    uint64_t size = 0;
    if (policy && settings_load(where, policy))
        size = policy->log_size;
    free(policy);
    return size ? state_create(s, where->state_file, where->instance, size, error) : STATE_ABSENT;
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

static int set(const struct arguments *a) {
    struct location where;
    struct state s;
    char actor[ACTOR_TEXT], was[DIAL_TEXT], is[DIAL_TEXT], text[EVENT_TEXT];
    struct control before, after;
    struct settings settings;
    int number = 0;
    if (!arguments_locate(&a->chosen, &where))
        return EXIT_USAGE;
    enum state_error result = open_state(&s, &where, &number);
    if (result != STATE_OK) {
        complain("%s: %s", where.state_file, state_error_text(result, number));
        return EXIT_FOUND;
    }
    bool has_policy = state_settings(&s, NULL, &settings);
    override(&s, a, &before, &after);
    dial_text(was, before, has_policy ? &settings : NULL);
    dial_text(is, after, has_policy ? &settings : NULL);
    actor_name(actor);
    snprintf(text, sizeof text, "%s; before: %s; by %s", is, was, actor);
    if (!tool_event(&s, EVENT_CONTROL, text))
        complain("the event that says so was dropped");
    printf("instance %s: %s\nbefore: %s\n", where.instance, is, was);
    state_unmap(&s);
    return EXIT_DONE;
}

int set_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = take_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    return set(&a);
}
