#include "tool/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/preload.h"
#include "tool/host/preloadable.h"
#include "tool/common/settings.h"
#include "tool/events/tool_event.h"
#include "state/create.h"
#include "state/control.h"
#include "tool/record/start.h"
#include "tool/host/filters.h"
#include "tool/host/sanitizer.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

static const char help[] =
    "usage: connspread run [-c CONF] [-i INSTANCE] [-m MODE] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND with its TCP connections spread over the sources of the config, and its closes logged.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "  -m, --mode MODE        enforce, observe or off: overrides the config's, for COMMAND and its children\n"
    "\n"
    "Exits as COMMAND does; with 2 if the config is refused or for a usage error, 126 if COMMAND cannot be\n"
    "executed, 127 if there is none.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"mode", required_argument, NULL, 'm'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    const char *mode;
    char **command;
};

static bool mode_is_good(const char *mode) {
    if (override_mode(mode) >= 0)
        return true;
    warn("run: -m %s is not a mode; try: enforce, observe or off", mode);
    return false;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    (void)option; /* -m is the only one */
    a->mode = optarg;
    return true;
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"run", help, "+c:i:m:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    a->command = argv + optind;
    if (optind == argc)
        warn("run: no command; try: connspread run -- COMMAND [ARGUMENT...]");
    return optind < argc && (!a->mode || mode_is_good(a->mode)) ? ARGUMENTS_GOOD : EXIT_USAGE;
}

/* Is this what clients read already? The numbers of titles belong to the state file, not to the config. */
static bool same_policy(struct policy *live, const struct policy *wanted) {
    for (unsigned i = 0; i < POLICY_RULES; i++)
        live->rule[i].title_id = wanted->rule[i].title_id;
    for (unsigned i = 0; i < POLICY_POOLS; i++)
        live->pool[i].title_id = wanted->pool[i].title_id;
    return memcmp(live, wanted, sizeof *live) == 0;
}

static void log_reload(const struct state *s, const struct location *where) {
    char text[512];
    snprintf(text, sizeof text, "policy taken from %.400s by connspread run",
             where->config[0] ? where->config : "the built-in default");
    (void)tool_event(s, EVENT_RELOAD, text);
}

static bool publish(struct state *s, struct policy *wanted, const struct location *where) {
    struct policy *live = malloc(sizeof *live);
    bool had_one = live && state_policy(s, live);
    bool same = had_one && same_policy(live, wanted);
    free(live);
    if (same)
        return true;
    if (!state_publish(s, wanted, where->folder))
        return false;
    if (had_one)
        log_reload(s, where);
    return true;
}

/* Whatever fails here costs spreading or logging, not the program: it is said, and the program runs. */
static bool prepare_state(const struct location *where, struct policy *policy) {
    struct state state;
    int error = 0;
    enum state_error result = state_create(&state, where->state_file, where->instance, policy->log_size, &error);
    if (result != STATE_OK) {
        warn("%s: %s; the program runs, but its events and counters cannot be read", where->state_file,
             state_error_text(result, error));
        return false;
    }
    if (!publish(&state, policy, where))
        warn("%s: the policy could not be published: another process holds the lock on its folder; try: again",
             where->state_file);
    state_unmap(&state);
    return true;
}

/* Behind filters that were here before it, the client does nothing unless it is told that they do no harm. */
static bool prepare_for_filters(void) {
    char number[16], call[FILTERS_CALL];
    unsigned filters = filters_inherited();
    if (filters == 0 || getenv("CONNSPREAD_SECCOMP"))
        return true;
    if (!filters_spare(call)) {
        warn("a seccomp filter that was here before does not let %s through alive: connspread does nothing in the "
             "command; try: a filter that answers with an error (systemd: SystemCallErrorNumber=EPERM)",
             call);
        return true;
    }
    snprintf(number, sizeof number, "%u", filters);
    return setenv("CONNSPREAD_SECCOMP", number, 1) == 0;
}

/* The client must find the same files from wherever it goes. */
static bool prepare_environment(const struct arguments *a, const struct location *where, const char *preload) {
    bool good = setenv("LD_PRELOAD", preload, 1) == 0 && prepare_for_filters();
    if (where->config[0])
        good = good && setenv("CONNSPREAD_CONF", where->config, 1) == 0;
    const char *dir = secure_getenv("CONNSPREAD_DIR");
    if (dir && dir[0])
        good = good && setenv("CONNSPREAD_DIR", where->folder, 1) == 0;
    if (a->chosen.instance)
        good = good && setenv("CONNSPREAD_INSTANCE", a->chosen.instance, 1) == 0;
    if (a->mode)
        good = good && setenv("CONNSPREAD_MODE", a->mode, 1) == 0;
    if (!good)
        warn("the environment cannot be set: %s", strerror(errno));
    return good;
}

static void warn_of_program(const char *name) {
    char path[PRELOADABLE_PATH];
    enum preloadable result = find_program(path, name) ? preloadable(path) : PRELOAD_OK;
    const char *why = preloadable_text(result);
    const char *disabled = getenv("CONNSPREAD_DISABLE");
    if (why && !(result == PRELOAD_OTHER_CLASS && shim_for_other_class()))
        warn("%s %s", path, why);
    if (disabled && strcmp(disabled, "1") == 0)
        warn("CONNSPREAD_DISABLE is set, so the shim does nothing; try: unset CONNSPREAD_DISABLE");
}

static int execute(char **command) {
    execvp(command[0], command);
    int error = errno;
    warn("%s: %s", command[0], error == ENOENT ? "command not found" : strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static int run(const struct arguments *a, struct policy *policy) {
    struct location where;
    char error[LOCATE_ERROR], sanitizer[SANITIZER_NAME] = "", path[PRELOADABLE_PATH], *preload;
    if (find_program(path, a->command[0]))
        (void)sanitizer_needed(path, sanitizer);
    if (!locate(&where, a->chosen.config, a->chosen.instance, error) ||
        !(preload = preload_value(getenv("LD_PRELOAD"), sanitizer, error))) {
        warn("%s", error);
        return EXIT_USAGE;
    }
    bool ready = settings_load(&where, policy) && prepare_environment(a, &where, preload);
    free(preload);
    if (!ready)
        return EXIT_USAGE;
    if (prepare_state(&where, policy) && policy->log_file[0])
        (void)record_start(where.state_file, where.instance, where.config, policy->log_file);
    warn_of_program(a->command[0]);
    return execute(a->command);
}

int run_main(int argc, char **argv) {
    struct arguments a = {0};
    int wrong = parse_arguments(argc, argv, &a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    struct policy *policy = calloc(1, sizeof *policy);
    if (!policy) {
        warn("no memory: %zu bytes are needed", sizeof *policy);
        return EXIT_USAGE;
    }
    int status = run(&a, policy);
    free(policy);
    return status;
}
