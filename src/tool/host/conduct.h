/* conduct.h - what a program does that goes past a preloaded library, or leaves it behind: found in its file, not by
 * running it. */
#ifndef CONNSPREAD_TOOL_HOST_CONDUCT_H
#define CONNSPREAD_TOOL_HOST_CONDUCT_H

#include <stdbool.h>

enum conduct {
    CONDUCT_IO_URING = 1, /* it or a library of its asks for liburing's calls */
    CONDUCT_RAW = 2,      /* none of them asks for connect, close and what could stand for them */
    CONDUCT_SETUID = 4,   /* setuid to the user that runs it: what it executes of itself as another is not preloaded */
    CONDUCT_CLEARS = 8    /* it can clear the environment of what it starts, and LD_PRELOAD with it */
};
enum { CONDUCTS = 4 };

/* Bits of enum conduct; 0 also where nothing can be found out. */
unsigned conduct_of(const char *path);

/* The same of a command line, whose arguments say whether it does what it can: env -i, su -. */
unsigned conduct_of_command(const char *path, char *const *argv);

/* What one of them means, in words that follow the program's name, and what to do. */
const char *conduct_text(enum conduct c);
const char *conduct_remedy(enum conduct c);

#endif
