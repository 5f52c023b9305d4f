/* check.h - the parts of `connspread check`: what is known, what is wrong with it, how it is printed. */
#ifndef CONNSPREAD_CLI_CHECK_H
#define CONNSPREAD_CLI_CHECK_H

#include "cli/capacity.h"
#include "cli/host.h"
#include "cli/locate.h"

enum { WARNINGS_KEPT = 256, WARNING_TEXT = 256 };

struct warnings {
    unsigned count; /* the first WARNINGS_KEPT of them have a text */
    char text[WARNINGS_KEPT][WARNING_TEXT];
};

/* All that is looked at before anything is said. */
struct findings {
    struct location where;
    struct policy policy;
    struct host host;
    struct control control; /* what `connspread set` overrides */
    uint64_t close_cells;
    bool has_state_file;
    struct warnings warnings;
};

void warn(struct warnings *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the policy says that this host cannot do, or that cannot be meant. */
void find_warnings(const struct policy *p, const struct host *h, struct warnings *out);

/* The same of the ways that packets take from the pool's addresses. */
void warn_of_routes(const struct policy *p, const struct policy_pool *pool, struct warnings *out);

void check_print_text(const struct findings *f);
void check_print_json(const struct findings *f);

/* The pool of a rule; NULL when it ignores. */
const struct policy_pool *check_pool(const struct policy *p, const struct policy_rule *rule);

#endif
