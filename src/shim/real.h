/* real.h - the next definition of every wrapped call. */
#ifndef CONNSPREAD_SHIM_REAL_H
#define CONNSPREAD_SHIM_REAL_H

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef __GLIBC__
/* musl has some of these as macros, or not at all; programs built for glibc call them by name. */
#undef freopen64
#undef fcntl64
extern int fcntl64(int, int, ...);
extern int close_range(unsigned int, unsigned int, int);
extern void closefrom(int);
extern FILE *freopen64(const char *, const char *, FILE *);
typedef unsigned sendmmsg_flags;
#else
typedef int sendmmsg_flags;
#endif

#define WRAP_TWIN(twin, name)
#define WRAP(name, result, parameters) extern result(*real_##name) parameters;
#define WRAP_OPTIONAL                  WRAP
#include "shim/wrapped.def"
#undef WRAP
#undef WRAP_OPTIONAL

/* What real_NAME is before the constructor: the system call itself, errno set as libc does. NULL for the few calls that
 * are no system call (fclose, exec by path search ...): those resolve on first use. */
#define WRAP(name, result, parameters) result raw_##name parameters;
#define WRAP_OPTIONAL                  WRAP
#include "shim/wrapped.def"
#undef WRAP
#undef WRAP_OPTIONAL

#define EXPORT __attribute__((visibility("default")))

/* In the file that has the function, behind it. gcc warns of a twin that promises less than the header does. */
#if defined __TIMESIZE && __TIMESIZE == 32
#if __has_attribute(copy)
#define EXPORT_TWIN(twin, name) EXPORT extern __typeof__(name) twin __attribute__((alias(#name), copy(name)));
#else
#define EXPORT_TWIN(twin, name) EXPORT extern __typeof__(name) twin __attribute__((alias(#name)));
#endif
#else
#define EXPORT_TWIN(twin, name)
#endif

/* Looks up everything with dlsym(RTLD_NEXT). A next definition that is our own wrapper (another copy of the shim handed
 * it back) is refused. Called from the constructor only: dlsym may allocate and lock. */
void real_resolve(void);

/* The next definition of a call, looked up now; NULL when there is none but ours. */
void *real_lookup(const char *name);

#endif
