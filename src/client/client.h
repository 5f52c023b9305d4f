/* client.h - this process as a client of an instance: what the constructor found out, and what events say of it.
 *
 * There is one a process (shim/self.h), but nothing below the shim knows that: code that acts for a client is given it,
 * as the first argument or in what it works on (struct closing, struct report). What is asked of "this
 * process" (process.h, fdtab.h) is the process that runs the code. */
#ifndef CONNSPREAD_CLIENT_CLIENT_H
#define CONNSPREAD_CLIENT_CLIENT_H

#include "base/sys.h"
#include "state/control.h"
#include "state/state.h"
#include "policy/policy.h"
#include "policy/program.h"

enum { MODE_FROM_POLICY = 255 };

struct client {
    struct state state;
    bool active;        /* false: every wrapper goes straight to libc */
    bool no_port_range; /* this kernel has no IP_LOCAL_PORT_RANGE (before 6.3); atomic */
    bool no_port_works; /* IP_BIND_ADDRESS_NO_PORT was read back as set; atomic */
    bool no_port_fails; /* it was accepted, and does nothing (gVisor); atomic */
    bool protocol_kept; /* socket() gives the protocol that it is asked for; atomic */
    bool parity_step;   /* before Linux 6.8: connect goes through all ports of one parity first */
    bool mptcp_info;    /* where it is not to be had, a connection is not MPTCP's (any more) */
    bool bind_denied;   /* this process may not bind (Landlock, seccomp, an LSM); atomic */
    bool trace;         /* CONNSPREAD_TRACE: each decision is an event */
    bool netns_varies;  /* setns or unshare was called: ask each socket for its namespace */
    uint8_t env_mode;   /* CONNSPREAD_MODE, or MODE_FROM_POLICY */
    uint32_t attached;  /* an attach event was written for this process; atomic */
    uint64_t netns;     /* cookie; 0: not asked yet; atomic */
    bool no_wait;       /* a supervisor acts for many, and may not wait for one of them */
    bool ends_told;     /* the kernel tells us of closes: nothing is asked that only a close would need */
    void (*waits)(struct client *client); /* if not NULL, called before each step of a wait */
    uint32_t pid, tid;                    /* whose events these are; 0: of this process and thread */
    uint64_t program_key;                 /* history_program */
    uint64_t names_key;                   /* the same of names: what rules make of them is kept under it */
    uint32_t user;                        /* with pid: its effective user */
    uint64_t variable; /* of its environment, hashed: name and value (hash_by.h); 0: none was asked for; atomic */
    char program[POLICY_PROGRAM];
    char names[PROGRAM_NAMES_TEXT];         /* that a rule's "program" is compared with; the first is program */
    void (*renewed)(struct client *client); /* called in a fork child, once it is noticed; set before active */
};

static inline bool client_active(const struct client *client) {
    return __atomic_load_n(&client->active, __ATOMIC_ACQUIRE);
}

/* What the process is called in events, and in rules (program_names). */
void client_name(struct client *client, const char *program, const char names[PROGRAM_NAMES_TEXT]);

/* Fills what depends on the running kernel. */
void client_know_kernel(struct client *client);

/* Everything below is async-signal-safe and leaves errno alone. */

/* What is in force now. mode: by the environment, else `connspread set`, else config; off without a policy. canary: by
 * `set`, else config; at most 100. */
static inline struct settings client_settings(const struct client *client) {
    struct settings now;
    if (!state_settings(&client->state, &now))
        now = (struct settings){.mode = MODE_OFF, .log_inbound = 1, .log_verify = VERIFY_AUTO};
    struct control set = control_now(&client->state);
    if (set.has_mode)
        now.mode = set.mode;
    if (set.has_canary)
        now.canary = set.canary;
    if (client->env_mode < MODE_COUNT)
        now.mode = client->env_mode;
    if (now.mode >= MODE_COUNT)
        now.mode = MODE_OFF;
    if (now.canary > 100)
        now.canary = 100;
    return now;
}

/* May the kernel be asked anything, then? Not in mode off, and not behind a filter of the client's own (sys_sealed):
 * then what is known is kept true from memory, and the client's calls go to libc as they came. */
static inline bool settings_ask(struct settings now) {
    return now.mode != MODE_OFF && !sys_sealed();
}

static inline bool client_asks(const struct client *client) {
    return client_active(client) && settings_ask(client_settings(client));
}

/* Cookie of fd's network namespace (SO_NETNS_COOKIE, Linux 5.14; 0 before that). Asked once, unless namespaces change.
 */
uint64_t client_netns(struct client *client, int fd);

#endif
