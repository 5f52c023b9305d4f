/* attach.c - the constructor: which process is this, which config, which state file.
 *
 * Runs once, before main, single-threaded as far as this library is concerned; libc calls and memory are allowed here
 * and nowhere else in the shim. Whatever fails leaves the shim inert, or working on private memory: the client starts
 * as it would without us. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/arm.h"
#include "shim/self.h"
#include "connect/explicit_port.h"
#include "client/process.h"
#include "shim/real.h"
#include "shim/cancel.h"
#include "shim/seal.h"
#include "policy/program.h"
#include "base/sys.h"
#include "base/text.h"
#include "close/exit_close.h"
#include "state/create.h"
#include "state/control.h"
#include "client/events.h"
#include "close/after_exec.h"
#include "shim/new_process.h"
#include "state/segment.h"

#ifdef __GLIBC__
extern int __cxa_atexit(void (*function)(void *), void *argument, void *dso);
/* What pthread_atfork calls, which glibc links into each library, on Debian 12 without the landing pads that arm64's
 * BTI asks for. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);
#endif

/* What the environment and the file system say, before anything is opened. */
struct setup {
    const char *conf; /* NULL: built-in default */
    char instance[STATE_INSTANCE];
    char path[STATE_PATH];
    char folder[STATE_PATH];
    struct policy_origin origin; /* all zero: built-in default */
    const char *problem;         /* NULL: none */
    bool verbose;
};

typedef int config_loader(const char *path, struct policy *out, char *errors, size_t size);

static void say(const struct setup *s, const char *what) {
    char line[512];
    size_t at = 0;
    if (!s->verbose)
        return;
    bool known = client_active(&client);
    uint8_t mode = known ? client_settings(&client).mode : MODE_OFF;
    text_add(line, sizeof line - 1, &at, "connspread " VERSION ": ");
    text_add(line, sizeof line - 1, &at, what);
    text_add(line, sizeof line - 1, &at, "; config ");
    text_add(line, sizeof line - 1, &at, s->conf ? s->conf : "built-in");
    text_add(line, sizeof line - 1, &at, ", instance ");
    text_add(line, sizeof line - 1, &at, s->instance[0] ? s->instance : "(none)");
    text_add(line, sizeof line - 1, &at, ", mode ");
    text_add(line, sizeof line - 1, &at, policy_mode_word[mode]);
    text_add(line, sizeof line - 1, &at, ", arm ");
    text_add(line, sizeof line - 1, &at, arm_word[known ? arm_of_process(&client) : ARM_CONTROL]);
    size_t n = strnlen(line, sizeof line - 2);
    line[n] = '\n';
    (void)sys_call3(SYS_write, 2, line, n + 1);
}

static void name_instance(struct setup *s) {
    const char *given = secure_getenv("CONNSPREAD_INSTANCE");
    if (!state_instance(s->instance, given && given[0] ? given : NULL, s->conf))
        s->problem =
            "no state file: an instance's name has 1 to 63 bytes, no '/', and no '.' at its start; try: another "
            "CONNSPREAD_INSTANCE";
}

static bool find_origin(struct setup *s) {
    struct stat st;
    if (!s->conf)
        return true;
    if (stat(s->conf, &st) != 0)
        return false;
    s->origin = (struct policy_origin){
        .device = (uint64_t)st.st_dev,
        .inode = (uint64_t)st.st_ino,
        .size = (uint64_t)st.st_size,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
    };
    return true;
}

static bool verbose(struct setup *s) {
    const char *value = secure_getenv("CONNSPREAD_VERBOSE");
    s->verbose = value && strcmp(value, "1") == 0;
    return s->verbose;
}

static void read_environment(struct setup *s) {
    const char *mode = secure_getenv("CONNSPREAD_MODE");
    const char *trace = secure_getenv("CONNSPREAD_TRACE");
    (void)verbose(s);
    client.trace = trace && strcmp(trace, "1") == 0;
    s->conf = secure_getenv("CONNSPREAD_CONF");
    if (s->conf && !s->conf[0])
        s->conf = NULL;
    if (!s->conf && faccessat(AT_FDCWD, DEFAULT_CONF, F_OK, 0) == 0)
        s->conf = DEFAULT_CONF;
    for (unsigned i = 0; mode && i < MODE_COUNT; i++)
        if (strcmp(mode, policy_mode_word[i]) == 0)
            client.env_mode = (uint8_t)i;
    name_instance(s);
    if (!state_path(s->path, secure_getenv("CONNSPREAD_DIR"), secure_getenv("XDG_RUNTIME_DIR"), s->instance)) {
        if (!s->problem)
            s->problem = "no state file: its path has more than 255 bytes; try: a shorter CONNSPREAD_DIR";
        s->path[0] = 0;
    }
    memcpy(s->folder, s->path, sizeof s->folder);
    char *slash = strrchr(s->folder, '/');
    if (slash)
        *slash = 0;
}

/* The parser lies beside us. It comes with a libconfuse and, on glibc, a libc of its own in a new namespace, so that a
 * client's own cfg_init or malloc is never involved; and is closed again at once. */
static int load_with_module(const struct setup *s, struct policy *out, char *errors, size_t size) {
    Dl_info self;
    char path[STATE_PATH];
    size_t at = 0;
    if (!dladdr((void *)&load_with_module, &self) || !self.dli_fname)
        return -1;
    text_add(path, sizeof path, &at, self.dli_fname);
    char *slash = at < sizeof path ? strrchr(path, '/') : NULL;
    at = slash ? (size_t)(slash - path) : 0;
    text_add(path, sizeof path, &at, slash ? "/connspread-config.so" : "connspread-config.so");
    if (at >= sizeof path)
        return -1;
#ifdef __GLIBC__
    void *module = dlmopen(LM_ID_NEWLM, path, RTLD_NOW | RTLD_LOCAL);
#else
    /* musl has no namespaces: a client's own cfg_* symbols could be bound instead (libconnspread(7)). */
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#endif
    if (!module) {
        (void)dlerror(); /* the client shall not find our error */
        return -1;
    }
    config_loader *load = (config_loader *)dlsym(module, "connspread_config_load");
    int mistakes = load ? load(s->conf, out, errors, size) : -1;
    (void)dlclose(module);
    return mistakes;
}

/* The policy that this process's config stands for. False: refused or unreadable; the reason is in errors. */
static bool compile(const struct setup *s, struct policy *out, char *errors, size_t size) {
    size_t at = 0;
    if (!s->conf) {
        policy_default(out);
        return true;
    }
    int mistakes = load_with_module(s, out, errors, size);
    if (mistakes < 0) {
        text_add(errors, size, &at, "connspread-config.so could not be loaded");
        return false;
    }
    return mistakes == 0;
}

static void *scratch(size_t size) {
    return sys_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* One line on stderr for each mistake, if the user wants to see. */
static void show(const struct setup *s, const char *reason) {
    size_t n = strnlen(reason, 4096);
    if (!s->verbose || n == 0)
        return;
    (void)sys_call3(SYS_write, 2, reason, n);
    if (reason[n - 1] != '\n')
        (void)sys_call3(SYS_write, 2, "\n", 1);
}

/* The same file refused again says nothing new; a service that starts a thousand shells would fill the ring with it. */
static bool refused_before(const struct setup *s) {
    uint64_t mark = s->origin.inode * 0x9e3779b97f4a7c15u ^ s->origin.mtime_ns ^ s->origin.size << 32 ^ 1;
    return __atomic_exchange_n(&client.state.header->refused, mark, __ATOMIC_RELAXED) == mark;
}

/* The reason goes where people look for it: into the state file. */
static void refuse(struct setup *s, const char *reason) {
    char text[EVENT_TEXT], *line;
    size_t at = 0;
    show(s, reason);
    text_add(text, sizeof text, &at, "config refused: ");
    text_add(text, sizeof text, &at, reason);
    while ((line = strchr(text, '\n')))
        *line = line[1] ? ';' : 0;
    state_count(&client.state, ARM_CONTROL, COUNT_CONFIG_ERROR);
    if (!refused_before(s))
        (void)event_of_text(&client, EVENT_RELOAD, ARM_CONTROL, text);
    s->problem = "inert: the config was refused";
}

static bool open_state(struct setup *s, struct state_sizes sizes) {
    int error = 0;
    if (s->path[0] && state_create(&client.state, s->path, s->instance, sizes, &error) == STATE_OK)
        return true;
    if (!s->problem)
        s->problem = "working without a state file";
    return state_private(&client.state, s->instance);
}

/* Maps the state file; if its policy is this config, that is all. */
static bool attach(struct setup *s) {
    int error;
    if (s->path[0] && state_map(&client.state, s->path, &error) == STATE_OK &&
        state_policy_is(&client.state, &s->origin))
        return true;
    struct policy *policy = scratch(sizeof *policy);
    char *errors = scratch(4096);
    if (!policy || !errors)
        return false;
    bool good = compile(s, policy, errors, 4096);
    const struct state_sizes sizes = {good ? policy->log_size : 8u << 20, good ? policy->size_max : 0};
    bool open = client.state.header || open_state(s, sizes);
    if (open && good)
        good = state_publish(&client.state, policy, client.state.private_memory ? NULL : s->folder) ||
               state_policy_is(&client.state, &s->origin);
    if (open && !good)
        refuse(s, errors[0] ? errors : "the policy could not be published");
    (void)sys_call2(SYS_munmap, policy, sizeof *policy);
    (void)sys_call2(SYS_munmap, errors, 4096);
    return open && good;
}

/* What a client may map in all (ulimit -v) is its own: without much to spare we do without the state file, and so
 * without everything. */
static bool leaves_room(struct setup *s) {
    uint64_t limit[2]; /* struct rlimit64 */
    if (sys_call4(SYS_prlimit64, 0, RLIMIT_AS, 0, limit) != 0 || limit[0] / ADDRESS_SPACE_SHARE >= client.state.size)
        return true;
    s->problem = "inert: RLIMIT_AS is less than 16 times the state file's size; try: a larger ulimit -v";
    return false;
}

static void at_exit(void *unused) {
    (void)unused;
    exit_close_all(&client, VIA_EXIT, true);
}

/* Once, before the client could change its arguments (setproctitle). Of more than this the end is not looked at. */
__attribute__((noinline)) static void name_program(void) {
    const char *name = program_invocation_short_name, *executed = (const char *)getauxval(AT_EXECFN);
    char arguments[4096], names[PROGRAM_NAMES_TEXT];
    long n = 0;
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        n = sys_call3(SYS_read, fd, arguments, sizeof arguments);
        (void)sys_call1(SYS_close, fd);
    }
    name = name ? name : "";
    program_names(names, name, executed, arguments, n > 0 ? (size_t)n : 0);
    client_name(&client, name, names);
}

static bool disabled(void) {
    const char *value = secure_getenv("CONNSPREAD_DISABLE");
    return getauxval(AT_SECURE) != 0 || (value && strcmp(value, "1") == 0);
}

static void in_child(void) {
    process_forked(&client);
}

static void begin(struct setup *s) {
    bool good = false;
    name_program();
    client.renewed = new_process;
    process_init();
#ifdef __GLIBC__
    (void)__register_atfork(process_fork_begins, process_fork_ends, in_child, NULL);
#else
    (void)pthread_atfork(process_fork_begins, process_fork_ends, in_child);
#endif
    client_know_kernel(&client);
    (void)host_ports(&client, true); /* now: no connect shall open a descriptor for it */
    if (find_origin(s)) {
        good = attach(s);
    } else {
        /* Named but unreadable: inert, but say so where the instance's events are. */
        s->origin.inode = 1;
        if (open_state(s, (struct state_sizes){.log = 8u << 20}))
            refuse(s, "the file named in CONNSPREAD_CONF cannot be read");
    }
    if (!leaves_room(s)) {
        state_unmap(&client.state);
    } else if (good) {
        /* Registered from a preloaded library's constructor, this runs after every handler registered later and
         * after all destructors; with no DSO handle it survives dlclose. */
#ifdef __GLIBC__
        (void)__cxa_atexit(at_exit, NULL, NULL);
#endif
        __atomic_store_n(&client.active, true, __ATOMIC_RELEASE);
        after_exec_record(&client);
    }
}

__attribute__((constructor)) static void construct(void) {
    struct setup s = {0};
    int saved = errno;
    real_resolve();
    cancel_resolve();
    if (!disabled()) {
        bool allowed = seal_allows(secure_getenv("CONNSPREAD_SECCOMP"));
        if (allowed) {
            read_environment(&s);
            begin(&s);
        } else if (verbose(&s)) {
            s.conf = secure_getenv("CONNSPREAD_CONF");
            name_instance(&s);
            s.problem = "inert: an inherited seccomp filter was not tried, and may kill for our system calls; try: "
                        "connspread run (CONNSPREAD_SECCOMP)";
        }
        say(&s, s.problem ? s.problem : "attached");
    }
    errno = saved;
}

#ifndef __GLIBC__
/* musl runs atexit handlers before destructors. */
__attribute__((destructor)) static void destruct(void) {
    at_exit(NULL);
}
#endif
