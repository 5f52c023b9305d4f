/* model.h - the parts of `connspread check`: what is known, what is wrong with it, how it is printed. */
#ifndef CONNSPREAD_TOOL_CHECK_MODEL_H
#define CONNSPREAD_TOOL_CHECK_MODEL_H

#include "tool/host/host.h"
#include "tool/host/tw_reuse.h"
#include "tool/common/locate.h"

enum { WARNINGS_KEPT = 256, WARNING_TEXT = 256 };

struct warnings {
    unsigned count; /* the first WARNINGS_KEPT of them have a text */
    char text[WARNINGS_KEPT][WARNING_TEXT];
};

/* A connection that is asked about. */
struct question {
    struct endpoint to;
    char program[POLICY_PROGRAM]; /* empty: one that no rule names */
};

struct missing;

/* All that is looked at before anything is said. */
struct findings {
    struct location where;
    struct policy policy;
    struct host host;
    struct tw_reuse reuse;
    struct control control; /* what `connspread set` overrides */
    uint64_t close_cells, epoch;
    uint32_t next_source[POLICY_POOLS][SCOPE_COUNT]; /* turns that were taken so far */
    bool has_state_file, bad_state_file;
    struct warnings warnings;
    const struct missing *missing; /* with sources to add (missing.h) */
};

/* Adds a warning, as printf does; beyond WARNINGS_KEPT it is counted alone. */
void warning_add(struct warnings *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The pool of a rule; NULL when it ignores. */
const struct policy_pool *check_pool(const struct policy *p, const struct policy_rule *rule);

#endif
