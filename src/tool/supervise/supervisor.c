#include "tool/supervise/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kernel_constants.h"
#include "client/process.h"
#include "tool/common/message.h"
#include "tool/supervise/bounded.h"
#include "tool/supervise/child.h"
#include "tool/supervise/letter.h"
#include "tool/supervise/alone.h"
#include "tool/supervise/watch.h"

enum { THREADS = 32, STACK = 256 << 10, END_MS = 20 };
_Static_assert((int)THREADS < (int)DESK_PLACES, "a place for each, one for the stand-in");

struct supervisor {
    struct service service;
    struct desk *desk;
    int end; /* to the process that was started; -1: it is gone */
    int program, status;
    bool ended; /* the program */
    int signals, watch;
};

static void *work(void *context) {
    struct worker w = *(struct worker *)context;
    free(context);
    bounded_begin(&w.timer);
    for (;;) {
        service_turn(&w);
        if (desk_take(w.service->listener, w.place))
            service_call(&w);
        else if (errno == EINTR)
            bounded_rest(&w.timer);
        else if (desk_is_over(w.service->listener, 0))
            return NULL; /* the process ends */
    }
}

static void start_threads(struct supervisor *v) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (unsigned i = 0; i < THREADS; i++) {
        struct worker *w = malloc(sizeof *w);
        if (!w)
            break;
        *w = (struct worker){.service = &v->service, .place = &v->desk->place[i + 1]};
        if (pthread_create(&thread, &attributes, work, w) == 0)
            v->service.threads++;
        else
            free(w);
    }
    pthread_attr_destroy(&attributes);
}

static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static uint64_t own_netns(void) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        cookie = 0;
    if (fd >= 0)
        close(fd);
    return cookie;
}

/* Fork children of this process there are none, so there is nothing for one to forget. */
static void renewed(struct client *client) {
    (void)client;
}

static void prepare_client(struct supervisor *v, const struct supervision *s) {
    struct client *c = &v->service.client;
    *c = s->client;
    c->renewed = renewed;
    process_init();
    client_know_kernel(c);
    c->netns = own_netns();
    memcpy(c->program, "connspread", sizeof "connspread");
    c->ends_told = v->watch >= 0;
    c->active = true;
}

/* What the program leaves behind comes to us (PR_SET_CHILD_SUBREAPER), and goes. */
static void reap(struct supervisor *v) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == v->program) {
            v->ended = true;
            v->status = status;
        }
}

/* As exec would have it: a process killed instead of the program takes it along. */
static void starter_gone(struct supervisor *v) {
    if (!v->ended)
        (void)kill(v->program, SIGKILL);
    close(v->end);
    v->end = -1;
}

/* The program has ended. No process may be left that has the filter: then all is recorded before the end is. */
static bool is_over(const struct supervisor *v) {
    return v->ended && (v->service.listener < 0 || desk_is_over(v->service.listener, END_MS));
}

static void tell_end(struct supervisor *v, bool last) {
    if (v->watch >= 0) {
        watch_hear(&v->service, v->watch);
        if (last)
            watch_look_at_all(&v->service);
    }
    if (v->end >= 0)
        letter_send(v->end, last ? LETTER_LAST : LETTER_ENDED, v->status, -1);
}

static void attend(struct supervisor *v) {
    bool told = false;
    while (!is_over(v)) {
        if (v->ended && !told) {
            tell_end(v, false);
            told = true;
        }
        struct signalfd_siginfo info;
        struct pollfd p[] = {
            {v->signals, POLLIN, 0}, {v->end, 0, 0}, {v->watch, POLLIN, 0}, {v->service.listener, 0, 0}};
        if (poll(p, v->ended ? 4 : 3, -1) <= 0)
            continue;
        if (p[0].revents & POLLIN && read(v->signals, &info, sizeof info) > 0)
            reap(v);
        if (p[1].revents & (POLLHUP | POLLERR))
            starter_gone(v);
        if (p[2].revents)
            watch_hear(&v->service, v->watch);
    }
    tell_end(v, true);
}

static int block_signals(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Forks the program's process. Returns its end of the pair. */
static int start_program(struct supervisor *v, const struct supervision *s, const sigset_t *mask, int *theirs) {
    int ends[2];
    if (!letter_pair(ends))
        return -1;
    v->program = fork();
    if (v->program == 0) {
        close(ends[0]);
        close(v->end);
        sigprocmask(SIG_SETMASK, mask, NULL);
        _exit(child_run(s, ends[1]));
    }
    *theirs = ends[1];
    return v->program < 0 ? -1 : ends[0];
}

static void serve(struct supervisor *v, const struct supervision *s) {
    v->watch = watch_open();
    prepare_client(v, s);
    sockets_init(&v->service.sockets, v->watch >= 0);
    peers_init(&v->service.peers);
    bounded_signal();
    desk_wake_at_once(v->service.listener);
    sem_init(&v->service.turn, 0, 1);
    start_threads(v);
}

_Noreturn void supervisor_run(const struct supervision *s, struct desk *desk, int end, const sigset_t *mask) {
    static struct supervisor v;
    int theirs;
    v = (struct supervisor){.desk = desk, .end = end, .watch = -1, .service.listener = -1};
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    v.signals = block_signals();
    int program = start_program(&v, s, mask, &theirs);
    if (program < 0)
        _exit(EXIT_USAGE);
    v.service.listener = child_prepare(v.program, program, theirs);
    close(theirs);
    letter_send(end, v.service.listener >= 0 ? LETTER_LISTENER : LETTER_STARTED, v.program, v.service.listener);
    alone((const int[]){end, v.signals, v.service.listener, program}, 4);
    (void)setpgid(0, 0); /* the terminal's signals are for the program */
    raise_limit();
    if (v.service.listener >= 0)
        serve(&v, s);
    letter_send(program, LETTER_EXECUTE, 0, -1);
    close(program);
    attend(&v);
    _exit(0);
}
