/* sections.h - what a pool or a rule is as a whole: its title before its keys, its consistency after them. */
#ifndef CONNSPREAD_CONFIG_SECTIONS_H
#define CONNSPREAD_CONFIG_SECTIONS_H

#include "config/reading.h"

/* Before and after the keys of a titled section; begin returns false if the section cannot be kept. given tells
 * which of the rule's keys the file has at all. */
bool config_pool_begin(struct reading *r, const char *title, int line);

void config_pool_end(struct reading *r);

bool config_rule_begin(struct reading *r, const char *title, int line);

void config_rule_end(struct reading *r, bool has_to);

#endif
