/* sanitizer.h - runtimes of sanitizers, which want to be the first library of a program: AddressSanitizer's ends the
 * program where another one stands before it in LD_PRELOAD. */
#ifndef CONNSPREAD_TOOL_HOST_SANITIZER_H
#define CONNSPREAD_TOOL_HOST_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

enum { SANITIZER_NAME = 256 };

/* Is this path or name, length bytes long, such a runtime's? (libasan.so.8, libclang_rt.asan-x86_64.so ...) */
bool sanitizer_is(const char *path, size_t length);

/* The one that the ELF program at path names as a library it needs (DT_NEEDED). False: none, or not readable. */
bool sanitizer_needed(const char *path, char name[SANITIZER_NAME]);

#endif
