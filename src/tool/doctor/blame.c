#include "tool/doctor/blame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tool/common/strbuf.h"
#include "tool/doctor/findings.h"
#include "tool/doctor/facts.h"
#include "tool/host/conduct.h"

enum { HELD_ACTION = 5 /* percent of the capacity */, NAMED = 4 };

/* "python3 (pid 12): 10 ports, 40000-40009; user 33: 1 port, 50000" */
static void name_holders(char *out, size_t size, const struct holder *h, unsigned n) {
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < n && i < NAMED && at < size; i++) {
        char who[128], name[HOLDER_NAME];
        struct strbuf s;
        strbuf_init(&s, name, sizeof name);
        strbuf_plain(&s, h[i].name, sizeof h[i].name);
        (void)strbuf_finish(&s);
        if (h[i].pid)
            (void)snprintf(who, sizeof who, "%s (pid %u)", name, h[i].pid);
        else
            (void)snprintf(who, sizeof who, "a process of user %u", h[i].uid);
        int wrote = snprintf(out + at, size - at, "%s%s: %u port%s, %s", i ? "; " : "", who, h[i].ports,
                             h[i].ports == 1 ? "" : "s", h[i].some);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    if (n > NAMED && at < size)
        (void)snprintf(out + at, size - at, "; and others");
}

static enum severity severity_of(const struct host_facts *h, uint32_t ports) {
    return (uint64_t)ports * 100 >= (uint64_t)h->capacity * HELD_ACTION ? SEVERITY_ERROR : SEVERITY_WARNING;
}

static void judge_binders(const struct host_facts *h, struct findings *out) {
    const struct held_ports *held = &h->held;
    uint32_t n = held->blocked - held->listening - held->ended;
    char who[FINDING_TEXT / 2];
    if (n == 0) {
        finding_reason(findings_add(out, SEVERITY_OK, "explicit-binds"),
                       "No process has bound an ephemeral port explicitly, listeners left aside.");
        return;
    }
    name_holders(who, sizeof who, held->binder, held->n_binders);
    struct finding *f = findings_add(out, severity_of(h, n), "explicit-binds");
    finding_reason(
        f,
        "%u ephemeral port%s of %u %s bound explicitly, or by bind() to port 0 before connect(), and so kept from "
        "every other process's connect()%s%s%s.",
        n, n == 1 ? "" : "s", h->capacity, n == 1 ? "is" : "are", who[0] ? ": " : "", who,
        held->unseen ? " (this kernel does not show all sockets that are bound and not connected)" : "");
    finding_remedy(
        f, "These programs should not bind, or set IP_BIND_ADDRESS_NO_PORT before they bind to port 0 (connspread "
           "run does it for them); or use ports outside of net.ipv4.ip_local_port_range.");
}

static void judge_ended(const struct host_facts *h, struct findings *out) {
    const struct held_ports *held = &h->held;
    if (held->ended == 0)
        return;
    struct finding *f = findings_add(out, severity_of(h, held->ended), "explicit-time-waits");
    finding_reason(
        f,
        "%u ephemeral port%s of %u %s kept from every connect() by TIME-WAITs of sockets that had bound their port "
        "explicitly, to whatever destination.",
        held->ended, held->ended == 1 ? "" : "s", h->capacity, held->ended == 1 ? "is" : "are");
    finding_remedy(f,
                   "connspread log names the programs that close them, if they run under it; they should not bind to a "
                   "port, or set IP_BIND_ADDRESS_NO_PORT.");
}

static void judge_listeners(const struct host_facts *h, struct findings *out) {
    const struct held_ports *held = &h->held;
    char who[FINDING_TEXT / 2];
    if (held->listening == 0) {
        finding_reason(findings_add(out, SEVERITY_OK, "listeners-in-range"),
                       "No listener stands in the ephemeral range unreserved.");
        return;
    }
    name_holders(who, sizeof who, held->listener, held->n_listeners);
    struct finding *f = findings_add(out, severity_of(h, held->listening), "listeners-in-range");
    finding_reason(
        f,
        "Programs listen on %u unreserved port%s of the ephemeral range, %s: connect() does not get these, and "
        "while the service restarts it may take them, which the service then finds in use.",
        held->listening, held->listening == 1 ? "" : "s", who);
    finding_remedy(f, "Add them to net.ipv4.ip_local_reserved_ports, or move the services out of the range.");
}

void doctor_judge_holders(const struct host_facts *h, struct findings *out) {
    if (!h->held.known) {
        struct finding *f = findings_add(out, SEVERITY_UNKNOWN, "explicit-binds");
        finding_reason(
            f, "Which ephemeral ports are kept from connect() cannot be found out here: it takes "
               "IP_LOCAL_PORT_RANGE (Linux 6.3), TCP_FASTOPEN_CONNECT (net.ipv4.tcp_fastopen with 1) and loopback.");
        finding_remedy(f, "Compare ss -Htan with the ports that clients get, or run doctor where these work.");
        return;
    }
    judge_binders(h, out);
    judge_ended(h, out);
    judge_listeners(h, out);
}

static const char *program_remedy(enum preloadable why) {
    switch (why) {
    case PRELOAD_OK:
        return "";
    case PRELOAD_UNREADABLE:
        return "Run doctor as a user who may read it.";
    case PRELOAD_STATIC:
        return "Run it with connspread run --supervise, or use a dynamically linked build of it, or its own setting "
               "for source addresses.";
    case PRELOAD_GO:
        return "Run it with connspread run --supervise, or set source addresses in the program itself "
               "(net.Dialer.LocalAddr); no preload library can do it.";
    case PRELOAD_SETUID:
        return "Start it as that user instead (systemd: User=, setpriv).";
    case PRELOAD_CAPABILITIES:
        return "Give it ambient capabilities instead (systemd: AmbientCapabilities=), or run it as root.";
    case PRELOAD_OTHER_MACHINE:
        return "Build connspread for it, and preload that libconnspread.so.";
    case PRELOAD_OTHER_CLASS:
    case PRELOAD_OTHER_LIBC:
        return "Build connspread for it, and preload that libconnspread.so; or run it with connspread run --supervise.";
    }
    return "";
}

static void judge_conduct(const struct host_facts *h, struct findings *out) {
    static const char *const name[CONDUCTS] = {"program-io-uring", "program-raw-calls", "program-setuid",
                                               "program-environment"};
    for (unsigned i = 0; i < CONDUCTS; i++) {
        if (!(h->conduct >> i & 1))
            continue;
        struct finding *f = findings_add(out, SEVERITY_WARNING, name[i]);
        finding_reason(f, "%.400s %s.", h->program, conduct_text((enum conduct)(1 << i)));
        finding_remedy(f, "%s", conduct_remedy((enum conduct)(1 << i)));
    }
}

/* What keeps a supervisor from its work, and what to do. */
static void judge_supervising(const struct host_facts *h, struct findings *out) {
    const struct trial *t = &h->supervising;
    if (!preloadable_or_supervised(h->preloadable))
        return;
    struct finding *f =
        findings_add(out, t->failed == TRIAL_WORKS ? SEVERITY_OK : SEVERITY_WARNING, "program-supervise");
    switch (t->failed) {
    case TRIAL_WORKS:
        finding_reason(f, "connspread run --supervise can serve it.");
        break;
    case TRIAL_DESCRIPTORS:
        finding_reason(
            f, "connspread run --supervise cannot serve it: a child's descriptors and memory cannot be had (%s).",
            strerror(t->error));
        finding_remedy(f, h->yama >= 2
                              ? "kernel.yama.ptrace_scope = 1, which lets a process look into its own children."
                              : "A container's profile must allow pidfd_open, pidfd_getfd and process_vm_readv; "
                                "the kernel must be 5.9 or later.");
        break;
    case TRIAL_FILTER:
        finding_reason(f, "connspread run --supervise cannot serve it: no seccomp listener can be installed (%s).",
                       strerror(t->error));
        finding_remedy(f, t->error == EBUSY
                              ? "There is one already, of a container's supervisor: it must let go, or do "
                                "connspread's work outside of the container."
                              : "A container's profile must allow seccomp; the kernel must be 5.9 or later.");
        break;
    case TRIAL_CLOSES:
        finding_reason(
            f, "connspread run --supervise serves it, but cannot log its closes: sock_diag does not tell of them (%s).",
            strerror(t->error));
        finding_remedy(f, "modprobe tcp_diag.");
        break;
    }
}

/* Its name without folder begins with php: php, php-fpm8.2. */
static bool is_php(const char *path) {
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, "php", 3) == 0;
}

void doctor_judge_program(const struct host_facts *h, struct findings *out) {
    if (!h->has_program)
        return;
    const char *why = preloadable_text(h->preloadable);
    struct finding *f = findings_add(out,
                                     h->preloadable == PRELOAD_OK           ? SEVERITY_OK
                                     : h->preloadable == PRELOAD_UNREADABLE ? SEVERITY_UNKNOWN
                                                                            : SEVERITY_ERROR,
                                     "program");
    finding_reason(f, "%.400s %s.", h->program, why ? why : "can be preloaded");
    finding_remedy(f, "%s", program_remedy(h->preloadable));
    judge_conduct(h, out);
    judge_supervising(h, out);
    if (h->preloadable == PRELOAD_OK && is_php(h->program)) {
        f = findings_add(out, SEVERITY_WARNING, "program-php");
        finding_reason(f,
                       "PHP before 8.5 loads its extensions with RTLD_DEEPBIND: what they call goes past every preload "
                       "library, while PHP's own streams are seen.");
        finding_remedy(f, "PHP 8.5, or extensions compiled in, or PHP's own streams (predis, mysqlnd) instead of the "
                          "extension's library.");
    }
}
