#include "tool/supervise/trial.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/supervise/filter.h"
#include "tool/supervise/letter.h"
#include "tool/supervise/peer.h"
#include "tool/supervise/watch.h"

/* Its exit status is the errno. */
_Noreturn static void try_filter(int end) {
    int none;
    (void)letter_receive(end, &none);
    int listener = filter_install(false);
    _exit(listener < 0 ? -listener : 0);
}

static struct trial try_child(const int ends[2]) {
    int status = 0, error;
    pid_t child = fork();
    if (child == 0)
        try_filter(ends[1]);
    if (child < 0)
        return (struct trial){TRIAL_DESCRIPTORS, errno};
    error = -peer_may(child, ends[1]);
    letter_send(ends[0], LETTER_FILTER, 0, -1);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (error)
        return (struct trial){TRIAL_DESCRIPTORS, error};
    error = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM; /* killed by a filter that is there */
    return (struct trial){error ? TRIAL_FILTER : TRIAL_WORKS, error};
}

struct trial trial_run(void) {
    int ends[2];
    if (!letter_pair(ends))
        return (struct trial){TRIAL_DESCRIPTORS, errno};
    struct trial t = try_child(ends);
    int watch = watch_open();
    if (t.failed == TRIAL_WORKS && watch < 0)
        t = (struct trial){TRIAL_CLOSES, -watch};
    if (watch >= 0)
        close(watch);
    close(ends[0]);
    close(ends[1]);
    return t;
}
