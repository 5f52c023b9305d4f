#include "tool/supervise/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/events.h"
#include "client/process.h"
#include "tool/supervise/alone.h"
#include "tool/supervise/letter.h"
#include "tool/supervise/stand_in.h"
#include "tool/supervise/supervisor.h"

/* The process that was started; and, when it has ended with the program and others go on, the one that it leaves. */
struct starter {
    struct client client;
    struct desk *desk;
    int end; /* to the supervisor; -1: it is dead */
    int listener, signals;
    int supervisor, program; /* processes */
    int died;                /* the supervisor's status */
    bool over;
    int status; /* the program's, with over */
};

/* What a terminal sends goes to the whole group, so the program has it already. */
static void forward(struct starter *t, const struct signalfd_siginfo *info) {
    int number = (int)info->ssi_signo;
    if (info->ssi_code <= 0)
        (void)kill(t->program, number);
    if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)
        (void)kill(getpid(), SIGSTOP);
}

/* The supervisor is waited for; and, once that is dead, the program, which is our child then. */
static void reap(struct starter *t) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == t->supervisor)
            t->died = status;
        else if (pid == t->program) {
            t->status = status;
            t->over = true;
        }
    }
}

static void read_signal(struct starter *t) {
    struct signalfd_siginfo info;
    if (read(t->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGCHLD)
        reap(t);
    else if (t->program > 0)
        forward(t, &info);
}

static void log_death(struct starter *t) {
    char text[160];
    process_init();
    memcpy(t->client.program, "connspread", sizeof "connspread");
    snprintf(text, sizeof text, "the supervisor, process %d, %s %d: what it supervised goes on without connspread",
             t->supervisor, WIFSIGNALED(t->died) ? "was killed by signal" : "ended with status",
             WIFSIGNALED(t->died) ? WTERMSIG(t->died) : WEXITSTATUS(t->died));
    (void)event_of_text(&t->client, EVENT_DETACH, ARM_CONTROL, text);
}

static void supervisor_gone(struct starter *t) {
    close(t->end);
    t->end = -1;
    if (t->listener >= 0)
        stand_in_for_desk(t->listener, t->desk);
    while (t->died < 0 && t->supervisor > 0 && waitpid(t->supervisor, &t->died, 0) < 0 && errno == EINTR)
        ;
    if (t->listener >= 0)
        log_death(t);
    reap(t);
}

static void read_letter(struct starter *t) {
    int none;
    struct letter letter = letter_receive(t->end, &none);
    switch (letter.kind) {
    case LETTER_ENDED:
    case LETTER_LAST:
        t->status = letter.value;
        t->over = true;
        if (letter.kind == LETTER_LAST) {
            t->listener = -1;
            if (t->program > 0)
                (void)waitpid(t->supervisor, &t->died, 0);
        }
        break;
    case LETTER_NONE:
        supervisor_gone(t);
        break;
    default:
        break;
    }
}

static void attend(struct starter *t) {
    while (!t->over) {
        struct pollfd p[] = {{t->signals, POLLIN, 0}, {t->end, POLLIN, 0}, {t->end < 0 ? t->listener : -1, POLLIN, 0}};
        if (poll(p, 3, -1) <= 0)
            continue;
        if (p[1].revents)
            read_letter(t);
        if (p[2].revents & POLLIN)
            stand_in_continue(t->listener, t->desk);
        else if (p[2].revents & POLLHUP) {
            t->listener = -1;
            t->over |= t->program == 0;
        }
        if (p[0].revents & POLLIN)
            read_signal(t);
    }
}

/* The program has ended; others that it started have not, and need a process to stand in for the supervisor, or, if
 * that is dead, to go on doing so. */
static void stay_for_others(struct starter *t) {
    if (t->listener < 0 || desk_is_over(t->listener, 0) || fork() != 0)
        return;
    (void)setsid();
    t->over = false;
    t->program = 0;
    if (t->end < 0)
        t->supervisor = 0;
    t->died = 0; /* it is no child that we could wait for */
    while (!t->over && !desk_is_over(t->listener, 0))
        attend(t);
    _exit(0);
}

/* As the program ended. */
static int end_as(int status) {
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    struct rlimit no_core = {0, 0};
    sigset_t set;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    (void)raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + WTERMSIG(status);
}

/* As it was before: the command is executed in this process's place, perhaps. */
static int give_up(struct starter *t, const sigset_t *before) {
    close(t->end);
    close(t->signals);
    while (t->supervisor > 0 && waitpid(t->supervisor, NULL, 0) < 0 && errno == EINTR)
        ;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    sigprocmask(SIG_SETMASK, before, NULL);
    errno = ECHILD;
    return -1;
}

int supervise(const struct supervision *s) {
    struct starter t = {.client = s->client, .listener = -1, .died = -1, .desk = desk_new()};
    int ends[2];
    sigset_t all, before;
    sigfillset(&all);
    if (!t.desk || !letter_pair(ends))
        return -1;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigprocmask(SIG_SETMASK, &all, &before);
    t.supervisor = fork();
    if (t.supervisor == 0) {
        close(ends[0]);
        supervisor_run(s, t.desk, ends[1], &before);
    }
    close(ends[1]);
    t.end = ends[0];
    t.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    struct letter first = letter_receive(t.end, &t.listener);
    t.program = first.kind == LETTER_LISTENER || first.kind == LETTER_STARTED ? first.value : 0;
    if (first.kind == LETTER_NONE)
        return give_up(&t, &before);
    alone((const int[]){t.end, t.signals, t.listener}, 3);
    attend(&t);
    stay_for_others(&t);
    return end_as(t.status);
}
