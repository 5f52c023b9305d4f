#include "shim/cancel.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#include "shim/real.h"

static void (*test)(void);
static int (*set_state)(int state, int *before);
static void (*push)(struct cancel_guard *, cancel_undo *, void *);
static void (*pop)(struct cancel_guard *guard, int execute);

/* libc's own word (glibc 2.32, sys/single_threaded.h): not 0 while the process has one thread, which only itself can
 * cancel, and does not in the middle of our close. Looked up in the whole program's scope: an executable may have a
 * copy of it (ELF's copy relocation), which then is the one that libc keeps. */
static const char *single_threaded;

void cancel_resolve(void) {
    *(void **)&test = real_lookup("pthread_testcancel");
    *(void **)&set_state = real_lookup("pthread_setcancelstate");
#ifdef __GLIBC__
    _Static_assert(sizeof(struct cancel_guard) >= sizeof(struct _pthread_cleanup_buffer), "what glibc writes");
    *(void **)&push = real_lookup("_pthread_cleanup_push");
    *(void **)&pop = real_lookup("_pthread_cleanup_pop");
#endif
    single_threaded = dlsym(RTLD_DEFAULT, "__libc_single_threaded");
}

int cancel_hold(void) {
    int before = PTHREAD_CANCEL_DISABLE;
    if (!test || !set_state)
        return before;
    test();
    if (single_threaded && __atomic_load_n(single_threaded, __ATOMIC_RELAXED))
        return before;
    (void)set_state(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void cancel_allow(int before) {
    if (set_state && before != PTHREAD_CANCEL_DISABLE)
        (void)set_state(before, NULL);
}

void cancel_push(struct cancel_guard *guard, cancel_undo *undo, void *context) {
    if (push && pop)
        push(guard, undo, context);
}

void cancel_pop(struct cancel_guard *guard) {
    if (push && pop)
        pop(guard, 0);
}
