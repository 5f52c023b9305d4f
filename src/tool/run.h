/* run.h - connspread run: a program under the shim. Everything is done here, before the exec, so that the client needs
 * no parser and no file of its own making. */
#ifndef CONNSPREAD_TOOL_RUN_H
#define CONNSPREAD_TOOL_RUN_H

/* Each takes its own name as argv[0] and returns the exit status. */
int run_main(int argc, char **argv);

#endif
