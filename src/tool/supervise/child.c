#include "tool/supervise/child.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/supervise/filter.h"
#include "tool/supervise/letter.h"
#include "tool/supervise/peer.h"

enum { EXIT_NO_SUPERVISOR = 126 };

static void warn_bare(int error, const char *what) {
    warn("--supervise: %s: %s; the program runs without connspread; try: connspread doctor", what, strerror(error));
}

int child_run(const struct supervision *s, int end) {
    int none, listener = -1;
    struct letter letter = letter_receive(end, &none);
    if (letter.kind == LETTER_FILTER) {
        listener = filter_install(s->keep_io_uring);
        letter_send(end, listener < 0 ? LETTER_FAILED : LETTER_LISTENER, listener < 0 ? -listener : 0, listener);
    }
    if (letter.kind != LETTER_NONE)
        letter = letter_receive(end, &none);
    if (listener >= 0)
        close(listener);
    if (letter.kind == LETTER_EXECUTE)
        return s->execute(s->command);
    /* The process that was started may run it all the same: never twice. */
    warn("--supervise: the supervisor ended before the program began; try: again");
    return EXIT_NO_SUPERVISOR;
}

int child_prepare(int pid, int end, int childs_end) {
    int listener = -1, error = peer_may(pid, childs_end);
    if (error) {
        warn_bare(-error, "its descriptors cannot be had (pidfd_getfd, process_vm_readv)");
        letter_send(end, LETTER_BARE, 0, -1);
        return -1;
    }
    letter_send(end, LETTER_FILTER, 0, -1);
    struct letter letter = letter_receive(end, &listener);
    if (letter.kind == LETTER_FAILED)
        warn_bare(letter.value, letter.value == EBUSY ? "another supervisor listens to it already (seccomp)"
                                                      : "its filter cannot be installed (seccomp)");
    return listener;
}
