/* text.h - connspread stat for people. */
#ifndef CONNSPREAD_TOOL_STAT_TEXT_H
#define CONNSPREAD_TOOL_STAT_TEXT_H

#include "tool/stat/model.h"

void stat_print_text(const struct stat_report *r);

/* "14 us", "1.5 ms", "2.00 s" */
enum { STAT_TIME_TEXT = 32 };
void stat_time_text(char out[STAT_TIME_TEXT], double us);

/* A rule's title, for a terminal; "(none)" for connects that no rule covers. */
enum { STAT_RULE_TEXT = STATE_PATH };
const char *stat_rule_text(char out[STAT_RULE_TEXT], const char *rule);

#endif
