/* owner.h - is the process that wrote something down still the one that has its number? */
#ifndef CONNSPREAD_TOOL_HOST_OWNER_H
#define CONNSPREAD_TOOL_HOST_OWNER_H

#include <stdbool.h>
#include <stdint.h>

/* Inode of our pid namespace, in which alone process numbers mean anything to us; 0: unknown. */
uint64_t owner_namespace(void);

/* False: dead, a zombie that has let go of its descriptors, or another process that started more than 20 ms after
 * noted_ns (CLOCK_BOOTTIME), when the number was written down. In doubt: true. */
bool owner_lives(uint32_t pid, uint64_t noted_ns);

/* What owner_lives makes of a line of /proc/PID/stat (proc(5)): pure. */
bool owner_stat_lives(const char *stat, long ticks_per_second, uint64_t noted_ns);

#endif
