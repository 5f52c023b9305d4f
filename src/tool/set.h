/* set.h - connspread set: what running clients do, from their next call on, without signals or restarts. */
#ifndef CONNSPREAD_TOOL_SET_H
#define CONNSPREAD_TOOL_SET_H

int set_main(int argc, char **argv);

#endif
