/* names.h - words and values that both forms of check's answers have. */
#ifndef CONNSPREAD_TOOL_CHECK_NAMES_H
#define CONNSPREAD_TOOL_CHECK_NAMES_H

#include "tool/check/model.h"

/* In force, or, without the override, as the config says. */
unsigned check_mode(const struct findings *f, bool override);
unsigned check_canary(const struct findings *f, bool override);

/* "round-robin"; "unknown" beyond the enum. */
const char *check_policy_name(unsigned policy);

/* "ipv4-loopback". */
const char *check_scope_name(enum addr_scope scope);

/* Prints key, as it stands, and the text as a string of JSON; NULL: null. */
void check_json_text(const char *key, const char *text);

#endif
