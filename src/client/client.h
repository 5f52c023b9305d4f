/* client.h - this process as a client of an instance: what the constructor found out, and what events say of it. */
#ifndef CONNSPREAD_CLIENT_CLIENT_H
#define CONNSPREAD_CLIENT_CLIENT_H

#include "client/fdtab.h"
#include "state/event.h"
#include "state/state.h"
#include "policy/policy.h"

enum { MODE_FROM_POLICY = 255 };

struct client {
    struct state state;
    bool active;          /* false: every wrapper goes straight to libc */
    bool no_port_range;   /* this kernel has no IP_LOCAL_PORT_RANGE (before 6.3); atomic */
    bool parity_step;     /* before Linux 6.8: connect goes through all ports of one parity first */
    bool mptcp_info;      /* where it is not to be had, a connection is not MPTCP's (any more) */
    bool bind_denied;     /* this process may not bind (Landlock, seccomp, an LSM); atomic */
    bool netns_varies;    /* setns or unshare was called: ask each socket for its namespace */
    uint8_t env_mode;     /* CONNSPREAD_MODE, or MODE_FROM_POLICY */
    uint32_t attached;    /* an attach event was written for this process; atomic */
    uint64_t netns;       /* cookie; 0: not asked yet; atomic */
    uint64_t program_key; /* history_program */
    char program[POLICY_PROGRAM];
};

extern struct client client;

static inline bool client_active(void) {
    return __atomic_load_n(&client.active, __ATOMIC_ACQUIRE);
}

/* Everything below is async-signal-safe and leaves errno alone. */

/* May the kernel be asked anything at this moment? Not in mode off, and not behind a filter of the client's own
 * (sys_sealed): then what is known is kept true from memory, and the client's calls go to libc as they came. */
bool client_asks(void);

/* A fork child: its own attach event, its own place in the canary sequence. */
void client_new_process(void);

/* The mode in force now: environment, else `connspread set`, else config. */
enum policy_mode client_mode(const struct settings *settings);

/* Cookie of fd's network namespace (SO_NETNS_COOKIE, Linux 5.14; 0 before that). Asked once, unless namespaces change.
 */
uint64_t client_netns(int fd);

/* A TCP connect or accept happens: the process's attach event, once. */
void client_attach(int fd, enum arm arm);

/* Fills what every event has. */
void event_begin(struct event_record *r, enum event_kind kind, enum arm arm);

/* The same, with what is known of a connection. now: CLOCK_MONOTONIC, ns. */
void event_of_conn(struct event_record *r, enum event_kind kind, const struct conn *c, uint64_t now);

/* An event that is only words. */
void event_of_text(enum event_kind kind, enum arm arm, const char *text);

#endif
