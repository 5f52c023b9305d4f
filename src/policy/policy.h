/* policy.h - the compiled config: flat, pointer-free, the same bytes for 32 and 64 bit.
 *
 * The config loader fills a struct policy; the tool or a client publishes it in the state file; clients read it there.
 * What a client reads is untrusted (any process of that user can scribble over it): every count and index is read once
 * and clamped, so that the worst a hostile policy can do is to name other addresses. */
#ifndef CONNSPREAD_POLICY_POLICY_H
#define CONNSPREAD_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/ports.h"
#include "policy/program.h"

enum {
    POLICY_RULES = 1024,
    POLICY_POOLS = 32,
    POLICY_TARGETS = 2048,    /* entries of all "to", "except" and "also-to" lists */
    POLICY_SOURCES = 512,     /* address ranges of all pools */
    POLICY_PORTS = 256,       /* port ranges of all pools, exclusions already taken out */
    POLICY_PROGRAMS = 128,    /* globs of all "program" lists */
    POLICY_VARIABLE = 32,     /* bytes of an environment variable's name with its NUL */
    POLICY_TITLE = 32,        /* bytes of a rule's or pool's title with its NUL */
    POOL_SOURCES = 32,        /* address ranges of one pool */
    POOL_PORTS = PORT_RANGES, /* port ranges of one pool */
    RULE_ATTEMPTS_MAX = 64,
    RULE_ENDPOINTS = 16 /* other endpoints of one rule (also-to) */
};

enum policy_mode { MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, MODE_COUNT };
extern const char *const policy_mode_word[MODE_COUNT + 1]; /* as people write them; the last is NULL */
enum policy_unit { BY_PROCESS, BY_CONNECTION };
enum pool_policy {
    POOL_ROUND_ROBIN,
    POOL_RANDOM,
    POOL_HASH,
    POOL_LEAST_USED,
    POOL_POLICY_COUNT,
    POOL_HASH_BY = POOL_POLICY_COUNT /* in a match alone: a hash of something else than the destination */
};
enum hash_by { HASH_BY_DESTINATION = 1, HASH_BY_PROCESS = 2, HASH_BY_PROGRAM = 4, HASH_BY_USER = 8, HASH_BY_ENV = 16 };
enum rule_action { ACTION_SPREAD, ACTION_IGNORE };
enum rule_exhausted { EXHAUSTED_FALLBACK, EXHAUSTED_ERROR };
enum rule_to_policy { TO_CLIENT_FIRST, TO_ROUND_ROBIN, TO_LEAST_USED, TO_POLICY_COUNT };
enum rule_client_bind { CLIENT_BIND_LATE_PORT, CLIENT_BIND_KEEP, CLIENT_BIND_OVERRIDE };
enum log_verify { VERIFY_NEVER, VERIFY_AUTO, VERIFY_ALWAYS };
enum log_closes { CLOSES_TIME_WAIT, CLOSES_ALL };

/* count consecutive addresses of one scope (enum addr_scope), from first on. */
struct policy_source {
    struct addr first;
    uint32_t count;
    union {
        uint32_t interface; /* of fe80::/10: index */
        uint32_t prefixes;  /* of SCOPE_V6: so many /64 take turns, from first's on (prefix-step); 0: they do not */
    };
};

/* A prefix (length counts bits of the 128-bit form, 0 with any=1 matches everything) and a port range. */
struct policy_target {
    struct addr prefix;
    uint8_t length;
    uint8_t any; /* "*": every address of both families */
    struct port_range ports;
    uint16_t zero;
};

/* [first, first + count) of one of the arrays in struct policy. */
struct policy_span {
    uint16_t first, count;
};

struct policy_pool {
    char title[POLICY_TITLE];
    struct policy_span sources[SCOPE_COUNT]; /* per scope; all empty: the kernel's own choice of address */
    uint32_t total[SCOPE_COUNT];             /* addresses in each of them */
    struct policy_span ports;                /* empty: the host's whole ephemeral range */
    uint8_t policy;                          /* enum pool_policy */
    uint8_t freebind;
    uint16_t title_id; /* in the state file's name table; set when published */
    uint32_t reuse_after_ms;
    uint8_t hash_by;   /* of enum hash_by; 0: the destination alone */
    uint8_t exclusive; /* port-sharing = "never" */
    uint8_t zero[2];
    char hash_variable[POLICY_VARIABLE]; /* with HASH_BY_ENV */
};

struct policy_rule {
    char title[POLICY_TITLE];
    struct policy_span to, except, programs; /* programs empty: any */
    uint16_t pool;                           /* index, meaningless under ACTION_IGNORE */
    uint16_t title_id;
    uint8_t action, on_exhausted, client_bind; /* enum rule_action, rule_exhausted, rule_client_bind */
    uint8_t attempts;                          /* 1..RULE_ATTEMPTS_MAX */
    uint32_t wait_ms;
    struct policy_span also; /* among the targets: other endpoints, each one address and a port range */
    uint8_t to_policy;       /* enum rule_to_policy */
    uint8_t show_asked;      /* getpeername tells what the client asked for */
    uint16_t zero;
    uint32_t to_timeout_ms, to_hold_down_ms;
};

/* Which file a policy was compiled from: same identity, same policy, no parser needed. All zero: built-in default. */
struct policy_origin {
    uint64_t device, inode, size, mtime_ns;
};

struct policy {
    struct policy_origin origin;
    uint8_t mode;      /* enum policy_mode */
    uint8_t canary;    /* percent, 0..100 */
    uint8_t canary_by; /* enum policy_unit */
    uint8_t log_closes, log_inbound, log_verify;
    uint16_t zero;
    uint64_t log_size; /* bytes of both event rings */
    uint64_t size_max; /* of the state file; 0: a quarter of what is free when it is made, at most as if 256M */
    uint16_t n_rules, n_pools, n_targets, n_sources, n_ports, n_programs;
    uint32_t zero2;
    char log_file[256]; /* empty: none */
    char path[256];     /* of the config file, for people; empty: built-in default */
    struct policy_rule rule[POLICY_RULES];
    struct policy_pool pool[POLICY_POOLS];
    struct policy_target target[POLICY_TARGETS];
    struct policy_source source[POLICY_SOURCES];
    struct port_range ports[POLICY_PORTS];
    char program[POLICY_PROGRAMS][POLICY_PROGRAM];
};

_Static_assert(sizeof(struct policy_source) == 24, "same layout on every ABI");
_Static_assert(sizeof(struct policy_target) == 24, "same layout on every ABI");
_Static_assert(sizeof(struct policy_rule) == 72, "same layout on every ABI");
_Static_assert(sizeof(struct policy_pool) == 120, "same layout on every ABI");
_Static_assert(sizeof(struct policy) % 8 == 0, "same layout on every ABI");
_Static_assert(offsetof(struct policy, mode) % 8 == 0 &&
                   offsetof(struct policy, zero) == offsetof(struct policy, mode) + 6,
               "what state_settings() reads is one word");

/* UNUSUAL: its rule wants something before the client's own destination is asked, or of the ports; connects of rules
 * that do not pay nothing for those that do. */
enum matched { MATCHED_NOT, MATCHED_SPREAD, MATCHED_UNUSUAL };

/* What is done to a socket besides binding it to a source. */
enum binding { BINDING_FREEBIND = 1, BINDING_EXCLUSIVE = 2 };

/* Other endpoints of the destination's scope that a connect may go to; written only if there are any. */
struct match_also {
    uint32_t timeout_ms, hold_down_ms;
    struct endpoint to[RULE_ENDPOINTS];
};

/* What one connect needs of the policy, copied out: the rule that matched and its pool, narrowed to the sources whose
 * scope fits the destination. About 1.5 KiB, on the caller's stack; of the arrays only the entries that the counts
 * cover are written. */
struct match {
    uint16_t rule_id, pool_id; /* name table; 0: none */
    uint16_t pool;             /* index of the pool, for its shared round-robin counter */
    uint8_t matched;           /* enum matched: a rule with ACTION_SPREAD did; all below is only then meaningful */
    uint8_t policy, binding /* of enum binding */, on_exhausted, client_bind, attempts;
    uint8_t has_sources; /* the pool names addresses at all (perhaps of other scopes) */
    uint8_t scope;       /* enum addr_scope of the destination */
    uint8_t n_also;      /* other endpoints */
    uint8_t to;          /* enum rule_to_policy, and TO_SHOW_ASKED */
    uint32_t wait_ms, reuse_after_ms;
    uint32_t total; /* addresses in source[] */
    uint16_t n_sources, n_ports;
    struct policy_source source[POOL_SOURCES];
    struct port_range ports[POOL_PORTS];
    struct match_also also;
};

enum { TO_SHOW_ASKED = 0x80, TO_POLICY = 0x7f };

/* The built-in default: one rule "default" for every destination that is not loopback, a pool without addresses and
 * with the whole ephemeral range, log on. */
void policy_default(struct policy *out);

/* Does a destination lie in a target? Reads it with relaxed atomic loads. */
bool policy_target_fits(const struct policy_target *target, const struct endpoint *destination);

/* First matching rule wins. Reads *p with relaxed atomic loads, each count and index once and clamped: safe on memory
 * that another process is scribbling over. program: a name, or several (program.h). Async-signal-safe. */
void policy_match(const struct policy *p, const struct endpoint *destination, const char *program, struct match *out);

/* The strongest client-bind among the rules that this program can meet (override, else late-port, else keep): what
 * bind() must prepare for before the destination is known. Same safety as policy_match. */
enum rule_client_bind policy_client_bind(const struct policy *p, const char *program);

/* Does it go by /64 (prefix-step)? Then prefixes is meant, else interface. */
bool policy_source_has_steps(const struct policy_source *range);

/* The n-th address of a range (n < count). */
struct addr policy_source_at(const struct policy_source *range, uint32_t n);

/* The n-th address of a match (n < match->total), with its interface as scope. */
struct endpoint match_source(const struct match *match, uint32_t n);

#endif
