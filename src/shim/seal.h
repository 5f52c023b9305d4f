/* seal.h - the client puts itself behind a seccomp filter.
 *
 * A filter may kill for any call that the client does not make itself, so behind one the shim makes none: the gate in
 * base/sys.h is closed from before the filter is there until the process ends, fork children included. Nothing is
 * spread or asked any more; closes of what had been recorded are counted (COUNT_SEALED_CLOSE), and what is open at the
 * end is left to the tool. One word for the process, though a filter without TSYNC is a thread's. A vfork child that
 * installs one closes its parent's gate too: it costs the parent its spreading, and no process its life.
 *
 * Not seen: a filter installed by an instruction of the program's own. Async-signal-safe; errno untouched. */
#ifndef CONNSPREAD_SHIM_SEAL_H
#define CONNSPREAD_SHIM_SEAL_H

#include <stdbool.h>
#include <stdint.h>

/* Constructor. CONNSPREAD_SECCOMP: "trust" says that no filter is to be minded; a number, which `connspread run` gives
 * after it has tried them, how many that were inherited may be. False: more were, or it cannot be known (no /proc);
 * then nothing may be called. */
bool seal_allows(const char *environment);

/* Around a call that installs one. */
void seal_begin(void);
void seal_end(bool installed);

/* Is this call of syscall(2) such a one? */
bool seal_is(long number, const long argument[2]);

#endif
