/* wrapper.h - does a program that starts others put a library of its own in the place of LD_PRELOAD? */
#ifndef CONNSPREAD_TOOL_HOST_WRAPPER_H
#define CONNSPREAD_TOOL_HOST_WRAPPER_H

#include <stdbool.h>
#include <stddef.h>

/* Those that do name their library in one string (mptcpize), or are scripts that assign it and never read it
 * (memusage); those that keep what is there read it and compose (stdbuf, fakeroot, torsocks). Reads the
 * file, of at most 1 MiB; executes nothing. False also when it cannot be read, or is larger. */
bool wrapper_overwrites(const char *path);

/* The same of its bytes, with a NUL behind them: a program's, or a script's. */
bool wrapper_program_overwrites(const char *bytes, size_t n);
bool wrapper_script_overwrites(const char *text, size_t n);

#endif
