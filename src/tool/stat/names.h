/* names.h - The names and meanings of what is counted, for JSON and Prometheus. */
#ifndef CONNSPREAD_TOOL_STAT_NAMES_H
#define CONNSPREAD_TOOL_STAT_NAMES_H

/* Names for JSON and Prometheus, in snake case; NULL for numbers that have none. */
const char *stat_counter_name(unsigned counter);
const char *stat_counter_help(unsigned counter);

const char *counter_name(unsigned counter);
const char *counter_help(unsigned counter);

#endif
