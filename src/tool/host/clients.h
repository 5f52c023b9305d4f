/* clients.h - does any program still have the state file mapped? */
#ifndef CONNSPREAD_TOOL_HOST_CLIENTS_H
#define CONNSPREAD_TOOL_HOST_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Looks through /proc/PID/maps of every process that we may look at, except those that run this very tool. *last: which
 * was found the last time (0: none), which is asked first. mapping: where the state file is mapped in this process.
 * True in doubt. Processes in a pid namespace beside ours are not seen. */
bool clients_exist(const void *mapping, uint32_t *last);

/* The "MAJOR:MINOR INODE" of the line of maps that begins at this address (proc(5)), for comparison with other
 * processes'. Pure: false when line is another one. out: 64 bytes. */
bool maps_line_file(const char *line, uint64_t address, char out[64]);

/* The same of any line, and where it begins. */
bool maps_line_key(const char *line, unsigned long long *start, char out[64]);

/* The same of what this process has mapped there. */
bool maps_key(const void *mapping, char out[64]);

/* Does this process (its number as text) run connspread, which maps a state file without being a client? */
bool is_tool(const char *pid);

#endif
