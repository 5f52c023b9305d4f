#include "tool/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/arguments.h"
#include "tool/common/children.h"
#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/preload.h"
#include "tool/host/preloadable.h"
#include "tool/common/settings.h"
#include "tool/events/tool_event.h"
#include "state/create.h"
#include "state/control.h"
#include "tool/record/start.h"
#include "tool/filters.h"
#include "tool/host/sanitizer.h"
#include "tool/host/shim.h"
#include "tool/host/wrapper.h"
#include "tool/host/conduct.h"
#include "tool/host/linker.h"
#include "tool/supervise/supervise.h"
#include "tool/supervise/trial.h"
#include "client/client.h"

#define AUTO          "auto"
#define KEEP_IO_URING "keep-io-uring"

enum {
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    OPTION_SUPERVISE = 256 /* no short option */,
    OPTION_REQUIRE,
    OPTION_TRACE
};

static const char help[] =
    "usage: connspread run [-c CONF] [-i INSTANCE] [-m MODE] [--require] [--supervise[=HOW]] [--trace] [--]\n"
    "                      COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND with its TCP connections spread over the sources of the config, and its closes logged.\n"
    "\n"
    "  -c, --config CONF      default: CONNSPREAD_CONF, else " DEFAULT_CONF ", else the built-in default\n"
    "  -i, --instance NAME    default: CONNSPREAD_INSTANCE, else the config file's name without suffix\n"
    "  -m, --mode MODE        enforce, observe or off: overrides the config's, for COMMAND and its children\n"
    "      --require          do not start COMMAND if the library cannot attach to it, or its events could not be "
    "read\n"
    "      --supervise[=HOW]  instead of preloading the library, serve COMMAND's connects from outside: for\n"
    "                         static and Go programs. HOW: auto, only where the library cannot be preloaded;\n"
    "                         keep-io-uring, leave io_uring to COMMAND (its connects are not seen)\n"
    "      --trace            each decision of a connect or close of COMMAND and its children is an event, which\n"
    "                         connspread log --trace shows\n"
    "\n"
    "Exits as COMMAND does; with 2 if the config is refused or for a usage error, 126 if COMMAND cannot be\n"
    "executed or, with --require, would not be attached to, 127 if there is none.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"instance", required_argument, NULL, 'i'},
    {"mode", required_argument, NULL, 'm'},
    {"require", no_argument, NULL, OPTION_REQUIRE},
    {"supervise", optional_argument, NULL, OPTION_SUPERVISE},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct chosen chosen;
    const char *mode, *supervise; /* NULL: not given */
    bool trace;
    char **command;
    bool require;
};

static bool mode_is_good(const char *mode) {
    if (override_mode(mode) >= 0)
        return true;
    warn("run: -m %s is not a mode; try: enforce, observe or off", mode);
    return false;
}

static bool parse_option(int option, void *context) {
    struct arguments *a = context;
    if (option == OPTION_REQUIRE)
        a->require = true;
    else if (option == OPTION_SUPERVISE)
        a->supervise = optarg ? optarg : "";
    else if (option == OPTION_TRACE)
        a->trace = true;
    else
        a->mode = optarg;
    return true;
}

static bool supervise_is_good(const char *how) {
    if (!how[0] || strcmp(how, AUTO) == 0 || strcmp(how, KEEP_IO_URING) == 0)
        return true;
    warn("run: --supervise=%s is not a way to supervise; try: " AUTO " or " KEEP_IO_URING, how);
    return false;
}

static int parse_arguments(int argc, char **argv, struct arguments *a) {
    static const struct command_line line = {"run", help, "+c:i:m:h", options, parse_option};
    int wrong = arguments_read(&line, argc, argv, &a->chosen, a);
    if (wrong != ARGUMENTS_GOOD)
        return wrong;
    a->command = argv + optind;
    if (optind == argc)
        warn("run: no command; try: connspread run -- COMMAND [ARGUMENT...]");
    return optind < argc && (!a->mode || mode_is_good(a->mode)) && (!a->supervise || supervise_is_good(a->supervise))
               ? ARGUMENTS_GOOD
               : EXIT_USAGE;
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
    const struct state_sizes sizes = {policy->log_size, policy->size_max};
    enum state_error result = state_create(&state, where->state_file, where->instance, sizes, &error);
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

static bool set_preload(const char *value) {
    return (value[0] ? setenv("LD_PRELOAD", value, 1) : unsetenv("LD_PRELOAD")) == 0;
}

/* The client must find the same files from wherever it goes. */
static bool prepare_environment(const struct arguments *a, const struct location *where, const char *preload) {
    /* Supervised, a library that is preloaded all the same keeps out of it. */
    bool good = preload ? set_preload(preload) && prepare_for_filters() : setenv("CONNSPREAD_DISABLE", "1", 1) == 0;
    if (where->config[0])
        good = good && setenv("CONNSPREAD_CONF", where->config, 1) == 0;
    const char *dir = secure_getenv("CONNSPREAD_DIR");
    if (dir && dir[0])
        good = good && setenv("CONNSPREAD_DIR", where->folder, 1) == 0;
    if (a->chosen.instance)
        good = good && setenv("CONNSPREAD_INSTANCE", a->chosen.instance, 1) == 0;
    if (a->mode)
        good = good && setenv("CONNSPREAD_MODE", a->mode, 1) == 0;
    if (a->trace)
        good = good && setenv("CONNSPREAD_TRACE", "1", 1) == 0;
    if (!good)
        warn("the environment cannot be set: %s", strerror(errno));
    return good;
}

static bool supervise_helps(enum preloadable why) {
    return preloadable_or_supervised(why) && !shim_serves(why);
}

static void warn_of_program(char **command) {
    const char *name = command[0];
    char path[PRELOADABLE_PATH];
    enum preloadable result = find_program(path, name) ? preloadable(path) : PRELOAD_OK;
    const char *why = preloadable_text(result);
    unsigned conduct = result == PRELOAD_OK ? conduct_of_command(path, command) : 0;
    for (unsigned i = 0; i < CONDUCTS; i++)
        if (conduct >> i & 1)
            warn("%s %s; try: %s", path, conduct_text((enum conduct)(1 << i)), conduct_remedy((enum conduct)(1 << i)));
    const char *disabled = getenv("CONNSPREAD_DISABLE");
    if (why && !shim_serves(result))
        warn("%s %s%s%s", path, why, result == PRELOAD_OTHER_LIBC ? "; it runs without one" : "",
             supervise_helps(result) ? "; try: connspread run --supervise" : "");
    if (result != PRELOAD_UNREADABLE && wrapper_overwrites(path))
        warn("%s puts a library of its own in the place of LD_PRELOAD: what it starts is not under connspread; "
             "try: the other way round, %s ... connspread run -- PROGRAM",
             path, command[0]);
    if (disabled && strcmp(disabled, "1") == 0)
        warn("CONNSPREAD_DISABLE is set, so the shim does nothing; try: unset CONNSPREAD_DISABLE");
}

static void find_shim(void *context, const char *path) {
    const char *slash = strrchr(path, '/');
    bool *found = context;
    *found = *found || strcmp(slash ? slash + 1 : path, "libconnspread.so") == 0;
}

/* Why the library would not attach to the command, or do nothing in it; NULL: it will. The dynamic linker is asked, not
 * the command run. */
static const char *unattached(const char *path) {
    const char *why = preloadable_text(preloadable(path)), *disabled = getenv("CONNSPREAD_DISABLE");
    char call[FILTERS_CALL];
    bool found = false;
    if (why)
        return why;
    if (disabled && strcmp(disabled, "1") == 0)
        return "is told by CONNSPREAD_DISABLE to run without it";
    if (filters_inherited() && !getenv("CONNSPREAD_SECCOMP") && !filters_spare(call))
        return "runs behind a seccomp filter under which it does nothing";
    if (!linker_list(path, getenv("LD_PRELOAD"), find_shim, &found))
        return "cannot be looked into: the dynamic linker does not list what it would load";
    return found ? NULL : "would be run without it: the dynamic linker does not load it";
}

/* Why no supervisor could serve the command; NULL: one can. */
static const char *unsupervised(void) {
    enum trial_step failed = trial_run().failed;
    return failed == TRIAL_WORKS || failed == TRIAL_CLOSES ? NULL : "cannot be supervised here (connspread doctor)";
}

/* What the command line asks for with --require. */
static bool is_attachable(const struct arguments *a, bool readable, bool supervised) {
    char path[PRELOADABLE_PATH];
    const char *why = NULL;
    if (!a->require)
        return true;
    if (!find_program(path, a->command[0]))
        return true; /* execute says so */
    if (!readable)
        why = "would run unseen, for its state file cannot be used";
    else
        why = supervised ? unsupervised() : unattached(path);
    if (why)
        warn("--require: not started: %s %s", path, why);
    return !why;
}

static int execute(char **command) {
    children_as_given();
    execvp(command[0], command);
    int error = errno;
    warn("%s: %s", command[0], error == ENOENT ? "command not found" : strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static bool is_supervised(const struct arguments *a) {
    char path[PRELOADABLE_PATH];
    if (!a->supervise || strcmp(a->supervise, AUTO) != 0)
        return a->supervise != NULL;
    if (!find_program(path, a->command[0]))
        return false;
    enum preloadable result = preloadable(path);
    return supervise_helps(result) || (result == PRELOAD_OK && conduct_of_command(path, a->command) & CONDUCT_RAW);
}

/* For what the supervisor counts: the state file, or memory that no other process reads. */
static bool map_state(struct state *out, const struct location *where, const struct policy *policy) {
    int error;
    if (state_map(out, where->state_file, &error) == STATE_OK)
        return true;
    struct policy copy = *policy;
    return state_private(out, where->instance) && state_publish(out, &copy, NULL);
}

/* What a supervisor does not do as the config says. */
static void warn_of_rules(const struct policy *policy) {
    for (unsigned i = 0; i < policy->n_rules && i < POLICY_RULES; i++) {
        const struct policy_rule *rule = &policy->rule[i];
        if (rule->also.count == 0)
            continue;
        if (rule->to_policy != TO_CLIENT_FIRST)
            warn("--supervise: rule \"%s\": to-policy is client-first here, since the supervisor does not wait for an "
                 "answer",
                 rule->title);
        if (rule->show_asked)
            warn("--supervise: rule \"%s\": show-peer is real here, since getpeername does not come to the supervisor",
                 rule->title);
    }
}

static int run_supervised(const struct arguments *a, const struct location *where, const struct policy *policy) {
    const char *mode = a->mode ? a->mode : getenv("CONNSPREAD_MODE");
    int own_mode = mode ? override_mode(mode) : -1;
    const char *trace = getenv("CONNSPREAD_TRACE"); /* run --trace has set it */
    struct supervision s = {
        .client.env_mode = own_mode < 0 ? MODE_FROM_POLICY : (uint8_t)own_mode,
        .client.trace = trace && strcmp(trace, "1") == 0,
        .keep_io_uring = strcmp(a->supervise, KEEP_IO_URING) == 0,
        .execute = execute,
        .command = a->command,
    };
    warn_of_rules(policy);
    int status = map_state(&s.client.state, where, policy) ? supervise(&s) : -1;
    if (status >= 0)
        return status;
    warn("--supervise: no supervisor could be started: %s; the program %s; try: connspread doctor", strerror(errno),
         a->require ? "is not started (--require)" : "runs without connspread");
    return a->require ? EXIT_NOT_EXECUTABLE : execute(a->command);
}

/* The value of LD_PRELOAD, or NULL and why. */
static char *find_preload(const char *program, char error[LOCATE_ERROR]) {
    char sanitizer[SANITIZER_NAME] = "", path[PRELOADABLE_PATH];
    enum preloadable what = PRELOAD_UNREADABLE;
    if (find_program(path, program)) {
        (void)sanitizer_needed(path, sanitizer);
        what = preloadable(path);
    }
    return preload_value(what, getenv("LD_PRELOAD"), sanitizer, error);
}

static int run(const struct arguments *a, struct policy *policy) {
    struct location where;
    bool supervised = is_supervised(a);
    char error[LOCATE_ERROR], *preload = NULL;
    if (!locate(&where, a->chosen.config, a->chosen.instance, error) ||
        (!supervised && !(preload = find_preload(a->command[0], error)))) {
        warn("%s", error);
        return EXIT_USAGE;
    }
    bool ready = settings_load(&where, policy) && prepare_environment(a, &where, preload);
    free(preload);
    if (!ready)
        return EXIT_USAGE;
    bool readable = prepare_state(&where, policy);
    if (!is_attachable(a, readable, supervised))
        return EXIT_NOT_EXECUTABLE;
    if (readable && policy->log_file[0])
        (void)record_start(where.state_file, where.instance, where.config, policy->log_file);
    if (supervised)
        return run_supervised(a, &where, policy);
    warn_of_program(a->command);
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
