#include "shim/cancel.h"

#include <pthread.h>
#include <stddef.h>

#include "shim/real.h"

static void (*test)(void);
static int (*set_state)(int state, int *before);

void cancel_resolve(void) {
    *(void **)&test = real_lookup("pthread_testcancel");
    *(void **)&set_state = real_lookup("pthread_setcancelstate");
}

int cancel_hold(void) {
    int before = PTHREAD_CANCEL_DISABLE;
    if (!test || !set_state)
        return before;
    test();
    (void)set_state(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void cancel_allow(int before) {
    if (set_state && before != PTHREAD_CANCEL_DISABLE)
        (void)set_state(before, NULL);
}
