/* odd_places WHERE ADDRESS PORT: connects and closes where a wrapper is least at ease. Exit 0 when all went well.
 *
 *   signal    in a SIGALRM handler, a few hundred times, while main connects, too, and allocates
 *   thread    in threads with the smallest stack there is
 *   early     before any constructor (.preinit_array), and once more in main
 *   late      in an atexit handler, in a destructor
 *   cancel    in threads that are cancelled at any moment */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in to = {.sin_family = AF_INET};
static volatile sig_atomic_t failures, signals;
static int late;

/* Async-signal-safe. */
static void one(void) {
    int saved = errno, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || close(fd) != 0)
        failures++;
    errno = saved;
}

static void in_handler(int number) {
    (void)number;
    one();
    signals++;
}

static void signal_case(void) {
    struct sigaction a = {.sa_handler = in_handler, .sa_flags = SA_RESTART};
    struct itimerval tick = {{0, 500}, {0, 500}}, none = {0};
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    for (int i = 0; signals < 300 && i < 100000; i++) {
        void *p = malloc((size_t)(i % 5000) + 1);
        one();
        free(p);
    }
    setitimer(ITIMER_REAL, &none, NULL);
    if (signals < 300)
        failures++;
}

static void *in_thread(void *unused) {
    (void)unused;
    for (int i = 0; i < 20; i++)
        one();
    return NULL;
}

static void thread_case(void) {
    pthread_attr_t small;
    pthread_t thread[4];
    pthread_attr_init(&small);
    if (pthread_attr_setstacksize(&small, (size_t)PTHREAD_STACK_MIN) != 0)
        failures++;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&thread[i], &small, in_thread, NULL) != 0)
            exit(4);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

static void *endless(void *unused) {
    (void)unused;
    for (;;)
        one();
    return NULL;
}

static void cancel_case(void) {
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, endless, NULL) != 0)
            exit(4);
        usleep((useconds_t)(200 + 37 * i));
        pthread_cancel(thread);
        pthread_join(thread, NULL);
        one();
    }
}

static void arguments(char **argv) {
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    inet_pton(AF_INET, argv[2], &to.sin_addr);
}

static void early(int argc, char **argv, char **environment) {
    (void)environment;
    if (argc == 4 && strcmp(argv[1], "early") == 0) {
        arguments(argv);
        one();
    }
}

__attribute__((section(".preinit_array"), used)) static void (*const before)(int, char **, char **) = early;

static void at_exit(void) {
    one();
}

__attribute__((destructor)) static void destructor(void) {
    if (late)
        one();
    if (failures)
        _exit(1);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    arguments(argv);
    if (strcmp(argv[1], "signal") == 0)
        signal_case();
    else if (strcmp(argv[1], "thread") == 0)
        thread_case();
    else if (strcmp(argv[1], "cancel") == 0)
        cancel_case();
    else if (strcmp(argv[1], "early") == 0)
        one();
    else if (strcmp(argv[1], "late") == 0)
        late = atexit(at_exit) == 0;
    return failures != 0;
}
