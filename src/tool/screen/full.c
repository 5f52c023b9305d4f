#include "tool/screen/full.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tool/screen/screen.h"

/* The other screen of xterm and its like, with its own cursor, which is hidden; and back. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

enum { LINES_UNKNOWN = 24, KEYS = 64 };

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
static const int fault[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
    bool taken, has_modes, gone;
    struct termios modes; /* as they were, of standard input */
    sigset_t before;      /* signals blocked outside of full_wait */
    volatile sig_atomic_t ended, stopped, resized;
} full;

static void put(const char *text, size_t length) {
    for (ssize_t n; length > 0 && !full.gone; text += n, length -= (size_t)n) {
        n = write(STDOUT_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            n = 0;
        if (n < 0)
            full.gone = true, n = 0;
    }
}

/* Keys come one by one and do not show; those that send signals still do. */
static void enter(void) {
    struct termios now = full.modes;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    if (full.has_modes)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
    full.taken = true;
    put(ENTER, sizeof ENTER - 1);
}

/* Async-signal-safe. */
static void leave(void) {
    if (!full.taken)
        return;
    full.taken = false;
    put(LEAVE, sizeof LEAVE - 1);
    if (full.has_modes)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &full.modes);
}

static void note(int signal) {
    if (signal == SIGWINCH)
        full.resized = 1;
    else if (signal == SIGTSTP)
        full.stopped = 1;
    else
        full.ended = 1;
}

/* The handler is gone by now (SA_RESETHAND): the fault ends the process as it would have. */
static void give_back(int signal) {
    leave();
    (void)raise(signal);
}

/* Signals come only while full_wait waits, so that none is missed between a look at the flags and the wait. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = note};
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        (void)sigaction(ending[i], &action, NULL);
        (void)sigaddset(&blocked, ending[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &blocked, &full.before);
    action.sa_handler = SIG_IGN; /* a write says so */
    (void)sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = give_back;
    action.sa_flags = (int)SA_RESETHAND;
    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++)
        (void)sigaction(fault[i], &action, NULL);
}

bool full_begin(void) {
    if (!isatty(STDOUT_FILENO))
        return false;
    full.has_modes = tcgetattr(STDIN_FILENO, &full.modes) == 0;
    (void)atexit(leave);
    catch_signals();
    enter();
    return true;
}

void full_end(void) {
    leave();
    (void)sigprocmask(SIG_SETMASK, &full.before, NULL);
}

void full_show(const char *text) {
    unsigned columns, lines;
    char *out = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&out, &size);
    if (!memory)
        return;
    screen_size(STDOUT_FILENO, &columns, &lines);
    lines = lines ? lines : LINES_UNKNOWN;
    fputs("\033[H", memory);
    for (unsigned i = 0; i < lines && *text; i++) {
        size_t length = strcspn(text, "\n");
        fprintf(memory, "%s%.*s\033[K", i ? "\r\n" : "", (int)length, text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[J", memory);
    if (fclose(memory) == 0)
        put(out, size);
    free(out);
}

/* Ctrl-Z: the shell gets the terminal as it was, and gives it back later. */
static void stop(void) {
    full.stopped = 0;
    leave();
    (void)raise(SIGSTOP);
    enter();
}

static enum full_event keys(void) {
    char key[KEYS];
    ssize_t n = read(STDIN_FILENO, key, sizeof key);
    for (ssize_t i = 0; i < n; i++) {
        if (key[i] == 'q' || key[i] == 'Q')
            return FULL_QUIT;
        if (key[i] == ' ' || key[i] == '\r' || key[i] == '\n')
            return FULL_AGAIN;
    }
    return FULL_TIME;
}

static uint64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* FULL_TIME: there was nothing that the caller must know. */
static enum full_event wait_once(uint64_t ms) {
    struct pollfd end[] = {{.fd = STDOUT_FILENO}, {.fd = full.has_modes ? STDIN_FILENO : -1, .events = POLLIN}};
    struct timespec timeout = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    int n = ppoll(end, 2, &timeout, &full.before);
    enum full_event event = FULL_TIME;
    if (full.stopped)
        stop(), event = FULL_RESIZED;
    if (full.resized)
        full.resized = 0, event = FULL_RESIZED;
    if (n > 0 && end[1].revents & POLLIN)
        event = keys();
    if (full.ended || full.gone || (n > 0 && (end[0].revents | end[1].revents) & (POLLERR | POLLHUP | POLLNVAL)))
        event = FULL_QUIT;
    return event;
}

enum full_event full_wait(unsigned ms) {
    uint64_t end = now_ms() + ms, now;
    enum full_event event = FULL_TIME;
    while (event == FULL_TIME && (now = now_ms()) < end)
        event = wait_once(end - now);
    return event;
}
