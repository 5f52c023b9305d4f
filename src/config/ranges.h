/* ranges.h - sets of addresses and of ports as few ranges. */
#ifndef CONNSPREAD_CONFIG_RANGES_H
#define CONNSPREAD_CONFIG_RANGES_H

#include "config/reading.h"

/* ranges.c. sources_add joins overlapping and adjacent ranges; false: no room. */
bool sources_add(struct source_list *list, const struct policy_source *source);

void ports_add(uint8_t bitmap[PORT_BITMAP], struct port_range range);

void ports_remove(uint8_t bitmap[PORT_BITMAP], struct port_range range);

/* Writes the ranges of a bitmap in order, at most max of them, and returns how many there are. */
unsigned ports_ranges(const uint8_t bitmap[PORT_BITMAP], struct port_range out[], unsigned max);

/* net.ipv4.ip_local_port_range of this process, or the kernel's default if it cannot be read. */
struct port_range ports_ephemeral(void);

#endif
