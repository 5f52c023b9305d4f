#include "shim/real.h"

#include <dlfcn.h>
#include <stdint.h>

/* Defined from the start: a call from another library's constructor finds the raw system call. */
#define WRAP(name, result, parameters) result(*real_##name) parameters = raw_##name;
#define WRAP_OPTIONAL                  WRAP
#include "shim/wrapped.def"
#undef WRAP
#undef WRAP_OPTIONAL

static const struct {
    const char *name;
    void **pointer;
} table[] = {
#define WRAP(name, result, parameters) {#name, (void **)&real_##name},
#define WRAP_OPTIONAL                  WRAP
#include "shim/wrapped.def"
#undef WRAP
#undef WRAP_OPTIONAL
};

/* Is p inside this very library? Given by the linker; hidden, so that they are ours alone. Another copy of
 * the shim under another path is a stranger that ends at libc all the same. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
static bool is_ours(const void *p) {
    return (uintptr_t)p >= (uintptr_t)__ehdr_start && (uintptr_t)p < (uintptr_t)_end;
}

void real_resolve(void) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        void *next = dlsym(RTLD_NEXT, table[i].name);
        /* An optional symbol may be missing: its raw form answers as a kernel would, ENOSYS included. */
        if (next && !is_ours(next))
            __atomic_store_n(table[i].pointer, next, __ATOMIC_RELEASE);
    }
}

void *real_lookup(const char *name) {
    void *next = dlsym(RTLD_NEXT, name);
    return next && is_ours(next) ? NULL : next;
}
