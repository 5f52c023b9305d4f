/* alone.h - a process that lives as long as others' descriptors must not hold any of them. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_ALONE_H
#define CONNSPREAD_TOOL_SUPERVISE_ALONE_H

/* Closes all descriptors but n of them (-1: none), with /dev/null as standard ones; leaves the folder. */
void alone(const int *kept, unsigned n);

#endif
