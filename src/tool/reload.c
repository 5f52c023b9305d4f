#include "tool/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/actor.h"
#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/common/locate.h"
#include "tool/events/tool_event.h"
#include "config/load.h"
#include "state/state.h"
#include "state/control.h"
#include "state/segment.h"
#include "tool/reader/instances.h"
#include "tool/reader/instances_say.h"
#include "tool/common/rights.h"
#include "tool/common/state_write.h"

enum { ERRORS_BYTES = 64 << 10 };

static const char help[] =
    "usage: connspread reload [-c CONF] [-i INSTANCE]\n"
    "\n"
    "Compiles the config and hands it to the running clients of the instance, which follow at their next call. A\n"
    "config with any mistake is refused, and the clients keep what they have. Interfaces that a pool names are\n"
    "looked up again. What connspread set has overridden stays overridden. When no living process follows the state\n"
    "file, nothing is changed, and the instances that run elsewhere are named: clients to come read the config "
    "themselves.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "\n"
    "A reload event in the log names the user, also of a refusal.\n"
    "Exits with 0, 1 if no process follows or the state file cannot be written, 2 if the config is refused or for a "
    "usage "
    "error.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int parse_arguments(int argc, char **argv, struct chosen *chosen) {
    static const struct command_line line = {"reload", help, "c:i:h", options, NULL};
    int wrong = arguments_read(&line, argc, argv, chosen, NULL);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (optind < argc)
        warn("reload: %s: reload takes no argument; try: -c for the config", argv[optind]);
    return optind == argc ? ARGUMENTS_GOOD : EXIT_USAGE;
}

static const char *name_of(const struct location *where) {
    return where->config[0] ? where->config : "the built-in default";
}

static int load(const struct location *where, struct policy *out, char *errors) {
    if (where->config[0])
        return config_load(where->config, out, errors, ERRORS_BYTES);
    policy_default(out);
    return 0;
}

/* s NULL: there is no state file to say it in. */
static void refuse(const struct state *s, const struct location *where, int mistakes, const char *errors) {
    char actor[ACTOR_TEXT], text[EVENT_TEXT];
    warn_lines(errors);
    warn("%s: refused: %d mistake%s: the clients keep the policy that they have", where->config, mistakes,
         mistakes == 1 ? "" : "s");
    if (!s)
        return;
    actor_name(actor);
    snprintf(text, sizeof text, "refused: %d mistake%s; by %s; %s", mistakes, mistakes == 1 ? "" : "s", actor, errors);
    text[strcspn(text, "\n")] = 0;
    (void)tool_event(s, EVENT_RELOAD, text);
}

/* The rings were laid out when the file was made, and clients have them mapped. */
static void compare_log_size(const struct state *s, const struct policy *p) {
    struct state_header layout = {0};
    sections_plan(&layout, p->log_size);
    if (layout.size != s->size)
        warn("log.size is now %llu bytes, but the event buffer of a state file keeps its size; try: connspread prune "
             "once no client uses the file, and the next one has the new size",
             (unsigned long long)p->log_size);
}

/* So was the room behind them. */
static void compare_size_max(const struct state *s, const struct policy *p) {
    unsigned most = s->segments ? s->segments->n : 0;
    uint64_t had = s->size + (uint64_t)most * SEGMENT_BYTES;
    bool other = p->size_max < had || (most < SEGMENTS && p->size_max - had >= SEGMENT_BYTES);
    if (p->size_max != 0 && other)
        warn("state.size-max is now %llu bytes, but a state file keeps the bound that it was made with, %llu bytes; "
             "try: connspread prune once no client uses the file, and the next one has the new bound",
             (unsigned long long)p->size_max, (unsigned long long)had);
}

static int publish(struct state *s, const struct location *where, struct policy *p, unsigned followers) {
    char actor[ACTOR_TEXT], text[EVENT_TEXT], override[OVERRIDE_TEXT];
    struct settings settings;
    rights_again();
    bool published = state_publish(s, p, where->folder);
    rights_back();
    if (!published) {
        warn("%s: not reloaded, because its lock could not be taken: %s", where->folder,
             "another process holds it, or the folder is not yours");
        return EXIT_FOUND;
    }
    unsigned long long generation = __atomic_load_n(&s->header->generation, __ATOMIC_RELAXED);
    actor_name(actor);
    snprintf(text, sizeof text, "policy generation %llu from %.120s; by %s", generation, name_of(where), actor);
    (void)tool_event(s, EVENT_RELOAD, text);
    compare_log_size(s, p);
    compare_size_max(s, p);
    bool known = state_settings(s, &settings);
    override_text(override, control_unpack(__atomic_load_n(&s->header->control, __ATOMIC_RELAXED)),
                  known ? &settings : NULL);
    say("instance %s: %s", where->instance, override);
    say("policy generation %llu from %s: %u rule%s, %u pool%s", generation, name_of(where), p->n_rules,
        p->n_rules == 1 ? "" : "s", p->n_pools, p->n_pools == 1 ? "" : "s");
    override_followers(followers);
    return EXIT_DONE;
}

/* s NULL: there is no state file, or it cannot be used, which has been said. */
static int reload(struct state *s, const struct location *where, struct policy *policy, char *errors) {
    struct instances running;
    if (!instances_find(&running)) {
        warn("no memory");
        return EXIT_FOUND;
    }
    const struct instance *ours = s ? instances_of(&running, s) : NULL;
    unsigned followers = ours ? ours->processes : s ? instances_closed_to_us(s) : 0;
    int mistakes = load(where, policy, errors), status = EXIT_FOUND;
    if (mistakes) {
        refuse(followers ? s : NULL, where, mistakes, errors);
        status = EXIT_USAGE;
    } else if (followers) {
        status = publish(s, where, policy, followers);
        if (instances_say_others(&running, ours, where, "reload", ""))
            status = EXIT_FOUND;
    } else {
        warn(s ? "%s: no living process follows it: nothing was changed" : "%s: nothing was changed",
             where->state_file);
        instances_say_all(&running, where, "reload", "");
        warn("clients to come read the config themselves: they need no reload");
    }
    instances_free(&running);
    return status;
}

static int map_and_reload(const struct location *where, struct policy *policy, char *errors) {
    struct state s = {0};
    int number = 0;
    enum state_error result = state_write_for_owner(&s, where->state_file, &number);
    if (result != STATE_OK)
        warn("%s: %s", where->state_file, state_error_text(result, number));
    int status = reload(result == STATE_OK ? &s : NULL, where, policy, errors);
    if (result == STATE_OK)
        state_unmap(&s);
    return status;
}

int reload_main(int argc, char **argv) {
    struct chosen chosen = {0};
    struct location where;
    int wrong = parse_arguments(argc, argv, &chosen);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    if (!arguments_locate(&chosen, &where))
        return EXIT_USAGE;
    struct policy *policy = calloc(1, sizeof *policy);
    char *errors = calloc(1, ERRORS_BYTES);
    int status = EXIT_FOUND;
    if (policy && errors)
        status = map_and_reload(&where, policy, errors);
    else
        warn("no memory");
    free(errors);
    free(policy);
    return status;
}
