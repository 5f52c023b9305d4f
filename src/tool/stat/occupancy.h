/* occupancy.h - How full each source of each rule is: counted from the kernel's own sockets, since what processes
 * outside of the instance hold takes room as well. */
#ifndef CONNSPREAD_TOOL_STAT_OCCUPANCY_H
#define CONNSPREAD_TOOL_STAT_OCCUPANCY_H

#include "tool/stat/model.h"

/* Adds the occupancy, from the sockets of this network namespace as they were at the first call. budget: how often a
 * rule may still be compared with a quadruplet; what a hostile policy asks for beyond that is left out. False: errno
 * says why they cannot be listed. */
bool stat_take_occupancy(struct stat_report *out, const struct state *s, uint64_t *budget);

/* A source of a rule holds taken of capacity quadruplets to some destination: kept, if no other of its destinations is
 * fuller. */
void stat_note_occupancy(struct stat_report *r, const char rule[POLICY_TITLE], const char *source, uint64_t taken,
                         uint64_t capacity);

#endif
