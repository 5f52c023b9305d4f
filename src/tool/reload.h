/* reload.h - connspread reload: compile the config anew and make it what running clients read, from their next call on.
 */
#ifndef CONNSPREAD_TOOL_RELOAD_H
#define CONNSPREAD_TOOL_RELOAD_H

int reload_main(int argc, char **argv);

#endif
