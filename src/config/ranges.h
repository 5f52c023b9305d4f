/* ranges.h - sets of addresses and of ports as few ranges. */
#ifndef CONNSPREAD_CONFIG_RANGES_H
#define CONNSPREAD_CONFIG_RANGES_H

#include "config/reading.h"

/* ranges.c. sources_add joins overlapping and adjacent ranges; false: no room. */
bool sources_add(struct source_list *list, const struct policy_source *source);

/* How many addresses of a range that goes by /64 are used: of each /64 the first STEP_SOURCES, so that several ranges
 * have room in a pool. */
enum { STEP_SOURCES = 256 };
uint32_t sources_of_steps(uint32_t prefixes);

/* Takes prefix/length (bits of the 128-bit form) out of all ranges. Where it does not work the list stays as it was:
 * more ranges would be left than there is room for, or a range that goes by /64 (prefix-step) would lose a part of one.
 */
enum removed { REMOVED, REMOVED_NO_ROOM, REMOVED_CUTS_STEP };
enum removed sources_remove(struct source_list *list, const struct addr *prefix, unsigned length);

void ports_add(uint8_t bitmap[PORT_BITMAP], struct port_range range);

void ports_remove(uint8_t bitmap[PORT_BITMAP], struct port_range range);

/* Writes the ranges of a bitmap in order, at most max of them, and returns how many there are. */
unsigned ports_ranges(const uint8_t bitmap[PORT_BITMAP], struct port_range out[], unsigned max);

/* net.ipv4.ip_local_port_range of this process, or the kernel's default if it cannot be read. */
struct port_range ports_ephemeral(void);

#endif
