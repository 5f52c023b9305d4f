/* shim.h - where the shims are: this tool's own, and those for programs of another word size or C library. */
#ifndef CONNSPREAD_TOOL_HOST_SHIM_H
#define CONNSPREAD_TOOL_HOST_SHIM_H

#include "tool/common/locate.h"
#include "tool/host/preloadable.h"

#define SHIM_NAME "libconnspread.so"
/* The folder for programs of the other C library, beside the shim of this one. */
#ifdef __GLIBC__
#define SHIM_OWN_LIBC   "glibc"
#define SHIM_OTHER_LIBC "musl"
#else
#define SHIM_OWN_LIBC   "musl"
#define SHIM_OTHER_LIBC "glibc"
#endif

/* What the dynamic linker splits LD_PRELOAD at, and what it expands in it: in no path to a shim. */
extern const char shim_unusable[];

/* The shim's absolute path: beside this program (in the build folder), else in SHIM_DIR. False: error says where it
 * would have to be. */
bool shim_path(char out[LOCATE_PATH], char error[LOCATE_ERROR]);

/* A file of that name in the shim's folder, which may have a folder before it. False: there is none. */
bool shim_companion(char out[LOCATE_PATH], const char *name);

/* Is a program that this tool's own shim does not fit served by another one, by what preload_value gives it? */
bool shim_serves(enum preloadable program);

/* How the shim for this program stands in LD_PRELOAD. Empty: the program has another C library, and there is no shim
 * for that; its loader would end it for the symbols that ours lacks. False: error says why. */
bool shim_entry(enum preloadable program, char out[LOCATE_PATH], char error[LOCATE_ERROR]);

#endif
