/* also.h - the keys of a rule about other endpoints, and the one of a pool about sharing ports. */
#ifndef CONNSPREAD_CONFIG_ALSO_H
#define CONNSPREAD_CONFIG_ALSO_H

#include "config/reading.h"

void config_also_to(struct reading *r, const struct entry *e);
void config_to_policy(struct reading *r, const struct entry *e);
void config_show_peer(struct reading *r, const struct entry *e);
void config_to_timeout(struct reading *r, const struct entry *e);
void config_to_hold_down(struct reading *r, const struct entry *e);
void config_port_sharing(struct reading *r, const struct entry *e);

/* What a rule or a pool starts with, and what must hold of it as a whole. */
void config_also_begin(struct policy_rule *rule);
void config_also_end(struct reading *r);
void config_port_sharing_end(struct reading *r);

#endif
