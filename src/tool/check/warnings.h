/* warnings.h - What is valid and yet wrong on this host: nothing here stops a client, everything here costs it
 * quadruplets. */
#ifndef CONNSPREAD_TOOL_CHECK_WARNINGS_H
#define CONNSPREAD_TOOL_CHECK_WARNINGS_H

#include "tool/check/model.h"

void warn(struct warnings *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the policy says that this host cannot do, or that cannot be meant. */
void find_warnings(const struct policy *p, const struct host *h, struct warnings *out);

/* The pool of a rule; NULL when it ignores. */
const struct policy_pool *check_pool(const struct policy *p, const struct policy_rule *rule);

#endif
