/* preloadable.h - will the dynamic linker load a shim into this program? */
#ifndef CONNSPREAD_TOOL_HOST_PRELOADABLE_H
#define CONNSPREAD_TOOL_HOST_PRELOADABLE_H

#include <stdbool.h>

enum preloadable {
    PRELOAD_OK,
    PRELOAD_UNREADABLE,    /* cannot tell: no such file, no permission, neither ELF nor script */
    PRELOAD_GO,            /* made by the Go compiler, whose runtime makes its system calls itself */
    PRELOAD_STATIC,        /* no dynamic linker (PT_INTERP) */
    PRELOAD_SETUID,        /* runs as another user or group: AT_SECURE */
    PRELOAD_CAPABILITIES,  /* file capabilities: AT_SECURE */
    PRELOAD_OTHER_CLASS,   /* 32-bit program, 64-bit shim, or the reverse */
    PRELOAD_OTHER_MACHINE, /* built for another processor */
    PRELOAD_OTHER_LIBC     /* musl program, glibc shim, or the reverse */
};

enum { PRELOADABLE_PATH = 4096, PRELOADABLE_LINKER = 256 };

/* Looks at the file (of a script: at its interpreter). Executes nothing. */
enum preloadable preloadable(const char *path);

/* The ELF file that is executed for path (of a script: its interpreter), and the dynamic linker that it names. False:
 * there is none. */
bool preloadable_file(const char *path, char file[PRELOADABLE_PATH], char linker[PRELOADABLE_LINKER]);

/* What that means for the program, in words that follow its name; NULL for PRELOAD_OK. */
const char *preloadable_text(enum preloadable why);

/* Can its connects be served from outside instead (connspread run --supervise)? Not of a program that is to have rights
 * which it then does not get. */
bool preloadable_or_supervised(enum preloadable why);

/* The file that execvp would execute for name. False when there is none. */
bool find_program(char out[PRELOADABLE_PATH], const char *name);

#endif
