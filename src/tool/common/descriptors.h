/* descriptors.h - those that a child does not need. */
#ifndef CONNSPREAD_TOOL_COMMON_DESCRIPTORS_H
#define CONNSPREAD_TOOL_COMMON_DESCRIPTORS_H

/* Closes every descriptor from first on; also where the kernel or a filter has no close_range. */
void descriptors_close_from(int first);

#endif
