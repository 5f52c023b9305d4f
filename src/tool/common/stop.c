#include "tool/common/stop.h"

#include <stddef.h>

volatile sig_atomic_t stop_signal;

static void stop(int signal) {
    stop_signal = signal;
}

/* Without SA_RESTART: a read of a pipe must end too. */
void stop_catch(void) {
    struct sigaction action = {.sa_handler = stop};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* the write that fails says the same */
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigaction(SIGXFSZ, &action, NULL);
}
