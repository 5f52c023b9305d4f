#include "tool/doctor/judge.h"

#include <inttypes.h>
#include <stdio.h>

#include "tool/doctor/blame.h"
#include "tool/doctor/findings.h"
#include "tool/doctor/facts.h"

/* Thresholds: a default range has 28,232 ports; shares are of what there is. */
enum {
    PORTS_USUAL = 28232,
    PORTS_FEW = 10000,
    SHARE_ACTION = 90,
    SHARE_ADVICE = 75,
    OCCUPANCY_ADVICE = 50, /* from there on connect() without a per-socket range searches all of one parity first */
    FIN_TIMEOUT_USUAL = 60
};

static unsigned reserved_inside(const struct host_ports *p) {
    unsigned n = 0;
    for (unsigned port = p->ephemeral.low; port <= p->ephemeral.high; port++)
        n += port_in(&p->reserved, port);
    return n;
}

static double share(int64_t part, int64_t whole) {
    return whole > 0 ? 100.0 * (double)part / (double)whole : 100;
}

static void unknown(struct findings *out, const char *name, const char *what) {
    struct finding *f = findings_add(out, SEVERITY_UNKNOWN, name);
    finding_reason(f, "%s cannot be read here.", what);
    finding_remedy(f, "Mount /proc, with its sys and net, where doctor runs.");
}

/* --- ports --- */

static void judge_range(const struct host_facts *h, struct findings *out) {
    const struct port_range r = h->ports.ephemeral;
    unsigned ports = r.high - r.low + 1u, reserved = reserved_inside(&h->ports), usable = ports - reserved;
    struct finding *f = findings_add(out,
                                     usable < PORTS_FEW     ? SEVERITY_ERROR
                                     : usable < PORTS_USUAL ? SEVERITY_WARNING
                                                            : SEVERITY_OK,
                                     "port-range");
    finding_reason(f,
                   "net.ipv4.ip_local_port_range is %u-%u: each source address can have %u connections to one "
                   "destination, which is %.1f new ones a second, since a TIME-WAIT keeps its port for %d s.",
                   r.low, r.high, usable, usable / (double)TIME_WAIT_SECONDS, TIME_WAIT_SECONDS);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f, "%s",
                       reserved > ports / 2
                           ? "Reserve fewer ports: net.ipv4.ip_local_reserved_ports takes them away."
                           : "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", with the ports of this "
                             "host's services in net.ipv4.ip_local_reserved_ports.");
}

/* Documentation/networking/ip-sysctl.rst: "it is better these numbers have different parity". */
static void judge_parity(const struct host_facts *h, struct findings *out) {
    const struct port_range r = h->ports.ephemeral;
    if ((r.low ^ r.high) & 1 || r.low == r.high)
        return;
    struct finding *f = findings_add(out, SEVERITY_WARNING, "port-range-parity");
    finding_reason(f,
                   "Both ends of net.ipv4.ip_local_port_range, %u and %u, are %s: connect() takes ports by parity, and "
                   "never gets to the last one.",
                   r.low, r.high, r.low & 1 ? "odd" : "even");
    finding_remedy(f, "sysctl -w net.ipv4.ip_local_port_range=\"%u %u\".", r.low, r.high - 1u);
}

static void judge_reserved(const struct host_facts *h, struct findings *out) {
    unsigned ports = h->ports.ephemeral.high - h->ports.ephemeral.low + 1u, n = reserved_inside(&h->ports);
    struct finding *f = findings_add(out, n > ports / 2 ? SEVERITY_ERROR : SEVERITY_OK, "reserved-ports");
    finding_reason(f,
                   "net.ipv4.ip_local_reserved_ports takes %u of the %u ports of the ephemeral range from connect().",
                   n, ports);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f, "Reserve only the ports of services that listen inside the range.");
}

/* What most of the fullest pair's connections are in says what is wrong. */
static const char *occupancy_remedy(const struct host_facts *h) {
    uint32_t half = h->fullest_taken / 2;
    if (h->fullest_time_waits + h->fullest_fin_waits + h->fullest_close_waits <= half)
        return "Look whether the client forgets to close connections, and give its pool a limit; otherwise more source "
               "addresses: connspread run, with a pool of them (connspread check tells how many).";
    if (h->fullest_fin_waits > half)
        return "Have the server close what its clients have closed: these connections wait for that (FIN-WAIT).";
    if (h->fullest_close_waits > half)
        return "Have the client close what the server has closed (CLOSE-WAIT): more ports or addresses only delay it.";
    return "Keep connections and use them again, or let the server close first; otherwise more source addresses: "
           "connspread run, with a pool of them (connspread check tells how many).";
}

/* What is really in the way: a TIME-WAIT that connect() takes over is not. */
static double pressing_percent(const struct host_facts *h) {
    double percent = h->fullest_percent - share(h->fullest_reusable, h->capacity);
    return percent > 0 ? percent : 0;
}

static void reason_of_occupancy(const struct host_facts *h, struct finding *f, double percent) {
    char reusable[96] = "";
    if (h->fullest_reusable)
        (void)snprintf(reusable, sizeof reusable, ", of which connect() may take over %u now (tcp_tw_reuse)",
                       h->fullest_reusable);
    finding_reason(
        f, "The fullest quadruplets are those from %s to %s: %.1f %% of %u, %u of them in TIME-WAIT%s%s.%s%s%s",
        h->fullest_source, h->fullest_destination, h->fullest_percent, h->capacity, h->fullest_time_waits, reusable,
        percent < OCCUPANCY_ADVICE ? ""
        : percent < SHARE_ACTION   ? "; from half on, connect() without a per-socket range takes 20 times as long"
                                   : "; when none is left, connect() fails with EADDRNOTAVAIL",
        h->fullest_users[0] ? " Whose they are: " : "", h->fullest_users, h->fullest_users[0] ? "." : "");
}

static void judge_occupancy(const struct host_facts *h, struct findings *out) {
    if (!h->pairs_known) {
        unknown(out, "occupancy", "The sockets of this network namespace (sock_diag)");
        return;
    }
    double percent = pressing_percent(h);
    struct finding *f = findings_add(out,
                                     h->fullest_taken == 0         ? SEVERITY_OK
                                     : percent >= SHARE_ACTION     ? SEVERITY_ERROR
                                     : percent >= OCCUPANCY_ADVICE ? SEVERITY_WARNING
                                                                   : SEVERITY_OK,
                                     "occupancy");
    if (h->fullest_taken == 0) {
        finding_reason(f, "No outbound connection takes a quadruplet at this moment.");
        return;
    }
    reason_of_occupancy(h, f, percent);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f, "%s", occupancy_remedy(h));
}

/* --- TIME-WAIT --- */

static void judge_timestamps(const struct host_facts *h, struct findings *out) {
    if (h->reuse.timestamps == FACT_UNKNOWN) {
        unknown(out, "tcp-timestamps", "net.ipv4.tcp_timestamps");
        return;
    }
    struct finding *f = findings_add(out, h->reuse.timestamps ? SEVERITY_OK : SEVERITY_ERROR, "tcp-timestamps");
    if (h->reuse.timestamps) {
        finding_reason(f, "net.ipv4.tcp_timestamps is %" PRId64 ": a TIME-WAIT can be reused where that is allowed.",
                       h->reuse.timestamps);
        return;
    }
    finding_reason(f, "net.ipv4.tcp_timestamps is 0: no TIME-WAIT can be reused before its 60 s are over, whatever "
                      "tcp_tw_reuse and a pool's reuse-after say.");
    finding_remedy(f, "sysctl -w net.ipv4.tcp_timestamps=1.");
}

static void judge_reuse(const struct host_facts *h, struct findings *out) {
    static const char *const meaning[] = {"connect() never takes over a TIME-WAIT", "connect() takes over TIME-WAITs",
                                          "connect() takes over TIME-WAITs on loopback only"};
    const struct tw_reuse *r = &h->reuse;
    if (r->mode < 0 || r->mode > 2) {
        unknown(out, "tcp-tw-reuse", "net.ipv4.tcp_tw_reuse");
        return;
    }
    bool off = !tw_reuse_is_on(r, h->fullest_loopback);
    bool vain = r->mode && r->delay_ms >= TIME_WAIT_SECONDS * 1000;
    bool pressed = off && !vain && r->timestamps > 0 && pressing_percent(h) >= OCCUPANCY_ADVICE &&
                   h->fullest_time_waits > h->fullest_taken / 2;
    struct finding *f =
        findings_add(out, pressed || (vain && r->mode == 1) ? SEVERITY_WARNING : SEVERITY_OK, "tcp-tw-reuse");
    if (r->mode)
        finding_reason(f, "net.ipv4.tcp_tw_reuse is %" PRId64 ": %s that are older than %" PRId64 " ms%s%s.", r->mode,
                       meaning[r->mode], r->delay_ms, vain ? ", which none ever is" : "",
                       r->timestamps > 0 ? ", where both ends use TCP timestamps" : ", but not without TCP timestamps");
    else
        finding_reason(f, "net.ipv4.tcp_tw_reuse is 0: %s.", meaning[0]);
    if (vain && r->mode == 1)
        finding_remedy(f, "sysctl -w net.ipv4.tcp_tw_reuse_delay=1000.");
    else if (pressed)
        finding_remedy(f,
                       "After reuse of connections and more source addresses: sysctl -w net.ipv4.tcp_tw_reuse=%d, for "
                       "the whole host, if both ends use TCP timestamps: each source then sustains %.0f new "
                       "connections a second to one destination.",
                       h->fullest_loopback ? 2 : 1,
                       h->capacity / ((double)r->delay_ms > 0 ? (double)r->delay_ms / 1000 : 0.001));
}

/* New in 7.1: commit 7da62262ec96. */
static void judge_step_width(const struct host_facts *h, struct findings *out) {
    if (h->reuse.step_width == FACT_UNKNOWN)
        return;
    finding_reason(findings_add(out, SEVERITY_OK, "port-step-width"),
                   "net.ipv4.ip_local_port_step_width is %" PRId64 ": %s.", h->reuse.step_width,
                   h->reuse.step_width ? "connect() goes through the ports by random strides of up to that, in a "
                                         "per-socket range too unless it is of one port; it finds the same ports"
                                       : "connect() searches the ephemeral range by the kernel's usual steps");
}

/* Removed by kernel commit 4396e46187ca, 4.12: it dropped connections of clients behind one NAT address. */
static void judge_recycle(const struct host_facts *h, struct findings *out) {
    struct finding *f = findings_add(out, h->tw_recycle > 0 ? SEVERITY_ERROR : SEVERITY_OK, "tcp-tw-recycle");
    finding_reason(
        f,
        "net.ipv4.tcp_tw_recycle %s, and must never be used: it compares timestamps by address, and so drops "
        "connections from clients that share one behind a NAT; Linux 4.12 removed it.",
        h->tw_recycle == FACT_UNKNOWN ? "does not exist here"
        : h->tw_recycle               ? "is on"
                                      : "is off");
    if (h->tw_recycle > 0)
        finding_remedy(f, "sysctl -w net.ipv4.tcp_tw_recycle=0.");
}

static void judge_buckets(const struct host_facts *h, struct findings *out) {
    if (h->max_tw_buckets == FACT_UNKNOWN || h->time_waits == FACT_UNKNOWN) {
        unknown(out, "tw-buckets", "net.ipv4.tcp_max_tw_buckets or the number of TIME-WAITs");
        return;
    }
    double used = share(h->time_waits, h->max_tw_buckets);
    bool overflowed = h->counter_overflow > 0;
    struct finding *f = findings_add(out,
                                     used >= SHARE_ACTION                 ? SEVERITY_ERROR
                                     : used >= SHARE_ADVICE || overflowed ? SEVERITY_WARNING
                                                                          : SEVERITY_OK,
                                     "tw-buckets");
    finding_reason(f,
                   "%" PRId64 " TIME-WAITs of at most %" PRId64
                   " (net.ipv4.tcp_max_tw_buckets; a FIN-WAIT-2 of a closed "
                   "socket counts as one), and %" PRId64 " times so far none was made for want of room "
                   "(TCPTimeWaitOverflow): such a connection's quadruplet is free at once, and late segments of it may "
                   "reach the next one.",
                   h->time_waits, h->max_tw_buckets, overflowed ? h->counter_overflow : 0);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f, "sysctl -w net.ipv4.tcp_max_tw_buckets=%" PRId64 " (a TIME-WAIT takes some 256 bytes).",
                       h->max_tw_buckets < 131072 ? 262144 : 2 * h->max_tw_buckets);
}

static void judge_fin_timeout(const struct host_facts *h, struct findings *out) {
    if (h->fin_timeout == FACT_UNKNOWN) {
        unknown(out, "tcp-fin-timeout", "net.ipv4.tcp_fin_timeout");
        return;
    }
    struct finding *f =
        findings_add(out, h->fin_timeout > FIN_TIMEOUT_USUAL ? SEVERITY_WARNING : SEVERITY_OK, "tcp-fin-timeout");
    finding_reason(
        f,
        "net.ipv4.tcp_fin_timeout is %" PRId64 " s, which is how long a closed connection waits for its peer's "
        "FIN (FIN-WAIT-2)%s; it does not shorten TIME-WAIT, whose %d s are fixed in the kernel.",
        h->fin_timeout, h->fin_timeout > FIN_TIMEOUT_USUAL ? " and keeps its quadruplet" : "", TIME_WAIT_SECONDS);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f, "sysctl -w net.ipv4.tcp_fin_timeout=%d.", FIN_TIMEOUT_USUAL);
}

static void judge_rfc1337(const struct host_facts *h, struct findings *out) {
    if (h->rfc1337 == FACT_UNKNOWN) {
        unknown(out, "tcp-rfc1337", "net.ipv4.tcp_rfc1337");
        return;
    }
    finding_reason(findings_add(out, SEVERITY_OK, "tcp-rfc1337"), "net.ipv4.tcp_rfc1337 is %" PRId64 ": a reset %s.",
                   h->rfc1337, h->rfc1337 ? "does not end a TIME-WAIT" : "may end a TIME-WAIT early (RFC 1337)");
}

static void judge_counters(const struct host_facts *h, struct findings *out) {
    if (h->counter_tw == FACT_UNKNOWN) {
        unknown(out, "tcp-counters", "/proc/net/netstat");
        return;
    }
    struct finding *f = findings_add(out, h->abort_memory > 0 ? SEVERITY_WARNING : SEVERITY_OK, "tcp-counters");
    finding_reason(
        f,
        "So far: TW %" PRId64 " (TIME-WAITs that ran their time), TWRecycled %" PRId64
        " (reused), TCPAbortOnData %" PRId64 " and OnClose %" PRId64 " (closed with a reset), OnLinger %" PRId64
        ", OnTimeout %" PRId64 ", OnMemory %" PRId64 "%s, TCPAbortFailed %" PRId64 ".",
        h->counter_tw, h->counter_recycled, h->abort_data, h->abort_close, h->abort_linger, h->abort_timeout,
        h->abort_memory, h->abort_memory > 0 ? " (closed ones reset, there were too many)" : "", h->abort_failed);
    if (h->abort_memory > 0)
        finding_remedy(
            f, "Raise net.ipv4.tcp_max_orphans, or net.ipv4.tcp_mem if the kernel log says \"out of memory\"; or "
               "let fewer connections wait for their peer's FIN.");
}

/* --- connection tracking --- */

static void judge_conntrack(const struct host_facts *h, struct findings *out) {
    if (h->conntrack_max == FACT_UNKNOWN || h->conntrack_count == FACT_UNKNOWN) {
        finding_reason(findings_add(out, SEVERITY_OK, "conntrack"),
                       "No connection tracking in this network namespace.");
        return;
    }
    double used = share(h->conntrack_count, h->conntrack_max);
    struct finding *f = findings_add(out,
                                     used >= SHARE_ACTION   ? SEVERITY_ERROR
                                     : used >= SHARE_ADVICE ? SEVERITY_WARNING
                                                            : SEVERITY_OK,
                                     "conntrack");
    finding_reason(f,
                   "Connection tracking has %" PRId64 " entries of at most %" PRId64
                   " (net.netfilter.nf_conntrack_max), and keeps those of closed connections for %" PRId64
                   " s; when it is full, new connections lose their packets and time out.",
                   h->conntrack_count, h->conntrack_max, h->conntrack_time_wait_s);
    if (f->severity != SEVERITY_OK)
        finding_remedy(f,
                       "sysctl -w net.netfilter.nf_conntrack_max=%" PRId64
                       ", or do not track these connections (nft: notrack).",
                       2 * h->conntrack_max);
}

static void judge_conntrack_losses(const struct host_facts *h, struct findings *out) {
    if (h->conntrack_insert_failed <= 0 && h->conntrack_drop <= 0 && h->conntrack_early_drop <= 0)
        return;
    struct finding *f = findings_add(out, SEVERITY_WARNING, "conntrack-losses");
    finding_reason(f,
                   "Connection tracking has lost packets: insert_failed %" PRId64 " (NAT chose a quadruplet that was "
                   "taken), drop %" PRId64 " and early_drop %" PRId64 " (table full).",
                   h->conntrack_insert_failed, h->conntrack_drop, h->conntrack_early_drop);
    finding_remedy(f, "insert_failed: masquerade with fully-random, or SNAT to more addresses; drop, early_drop: raise "
                      "net.netfilter.nf_conntrack_max.");
}

/* --- the kernel, IPv6 --- */

static void judge_features(const struct host_facts *h, struct findings *out) {
    static const struct {
        const char *name, *is, *lost, *remedy;
        enum severity severity;
    } feature[FEATURES] = {
        [FEATURE_NO_PORT] = {"kernel-no-port", "IP_BIND_ADDRESS_NO_PORT",
                             "a source address that is bound takes its port from all destinations at once",
                             "Linux 4.2 or later, or a seccomp filter that lets setsockopt through.", SEVERITY_ERROR},
        [FEATURE_PORT_RANGE] = {"kernel-port-range", "IP_LOCAL_PORT_RANGE",
                                "no port ranges inside the ephemeral range, and connect() slows down from half full on",
                                "Linux 6.3 or later, or a seccomp filter that lets setsockopt through.",
                                SEVERITY_WARNING},
        [FEATURE_NETNS] = {"kernel-netns-cookie", "SO_NETNS_COOKIE",
                           "clients of one instance in several network namespaces are counted together",
                           "Linux 5.14 or later, or an instance for each namespace.", SEVERITY_WARNING},
        [FEATURE_WIPE] = {"kernel-wipe-on-fork", "MADV_WIPEONFORK",
                          "a forked child is told from its parent by a system call at each close",
                          "Linux 4.14 or later.", SEVERITY_WARNING},
        [FEATURE_SOCK_DIAG] = {"kernel-sock-diag", "sock_diag for TCP",
                               "closes cannot be verified, and quads and the recorder see no sockets",
                               "modprobe tcp_diag, or a seccomp filter that lets AF_NETLINK through.", SEVERITY_ERROR},
    };
    for (unsigned i = 0; i < FEATURES; i++) {
        struct finding *f = findings_add(out, h->feature[i] ? SEVERITY_OK : feature[i].severity, feature[i].name);
        if (h->feature[i]) {
            finding_reason(f, "%s works.", feature[i].is);
            continue;
        }
        finding_reason(f, "%s does not work here: %s.", feature[i].is, feature[i].lost);
        finding_remedy(f, "%s", feature[i].remedy);
    }
}

static void judge_ipv6(const struct host_facts *h, struct findings *out) {
    bool missing = h->ipv6 == IPV6_DISABLED || h->ipv6 == IPV6_ABSENT;
    struct finding *f = findings_add(out,
                                     missing                 ? SEVERITY_WARNING
                                     : h->ipv6 == IPV6_WORKS ? SEVERITY_OK
                                                             : SEVERITY_UNKNOWN,
                                     "ipv6");
    if (h->ipv6 == IPV6_WORKS) {
        finding_reason(f, "IPv6 works: ::1 can be bound.");
    } else if (h->ipv6 == IPV6_ABSENT) {
        finding_reason(f, "This kernel has no IPv6: a client that insists on it fails with EAFNOSUPPORT.");
        finding_remedy(f, "Give clients IPv4 destinations only.");
    } else if (missing) {
        finding_reason(f, "IPv6 is disabled on loopback (disable_ipv6): a connect to an IPv6 address, \"localhost\" "
                          "included where it means ::1, fails with EADDRNOTAVAIL, which no port or address cures.");
        finding_remedy(f,
                       "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0, or take the IPv6 "
                       "addresses out of what clients are given (/etc/hosts, DNS).");
    } else {
        finding_reason(f, "Whether IPv6 works cannot be found out.");
        finding_remedy(f, "Look at the descriptor limit and at what seccomp filters forbid.");
    }
}

void doctor_judge(const struct host_facts *h, struct findings *out) {
    if (h->ports_known) {
        judge_range(h, out);
        judge_parity(h, out);
        judge_reserved(h, out);
    } else {
        unknown(out, "port-range", "net.ipv4.ip_local_port_range or ip_local_reserved_ports");
    }
    judge_occupancy(h, out);
    doctor_judge_holders(h, out);
    judge_reuse(h, out);
    judge_timestamps(h, out);
    judge_step_width(h, out);
    judge_recycle(h, out);
    judge_buckets(h, out);
    judge_fin_timeout(h, out);
    judge_rfc1337(h, out);
    judge_counters(h, out);
    judge_conntrack(h, out);
    judge_conntrack_losses(h, out);
    judge_ipv6(h, out);
    judge_features(h, out);
}
