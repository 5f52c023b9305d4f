/* ask.h - what would become of one connection: `connspread check --to ADDRESS:PORT`. */
#ifndef CONNSPREAD_TOOL_CHECK_ASK_H
#define CONNSPREAD_TOOL_CHECK_ASK_H

#include "tool/check/model.h"

/* Prints rule, sources, ports and why. False: none of the sources can be used on this host. */
bool check_ask(const struct findings *f, const struct question *q, bool json);

/* Why a rule does not take a connection; NULL: it does. Found out through policy_match, with parts of the rule left
 * out. */
enum passed { PASSED_NOT, PASSED_TO, PASSED_EXCEPT, PASSED_PROGRAM };
enum passed check_passed(const struct policy *p, unsigned rule, const struct question *q);

#endif
