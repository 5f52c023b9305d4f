/* odd_places WHERE ADDRESS PORT: connects and closes where a wrapper is least at ease. Exit 0 when all went well.
 *
 *   signal    in a SIGALRM handler, a few hundred times, while main connects, too, and allocates
 *   thread    in threads with the smallest stack there is
 *   early     before any constructor (.preinit_array), and once more in main
 *   late      in an atexit handler, in a destructor
 *   cancel    in threads that are cancelled at any moment
 *   unwound   in threads that call close with a cancellation pending; their cleanup, or who joins them, closes then
 *   alone     the same in a process of one thread, which ends so */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
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

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        exit(8);
    return fd;
}

static int left; /* by the thread that was cancelled */

static void close_again(void *unused) {
    (void)unused;
    if (fcntl(left, F_GETFD) < 0 || close(left) != 0)
        exit(5);
    left = -1;
}

static void no_cleanup(void *unused) {
    (void)unused;
}

/* Both a close by the thread itself and one by whoever joins it. */
static void *unwound(void *cleanup) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    left = connected();
    pthread_cancel(pthread_self());
    pthread_cleanup_push(cleanup ? close_again : no_cleanup, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    close(left);
    pthread_cleanup_pop(0);
    exit(6); /* bare it would have been cancelled */
}

static void unwound_case(void) {
    for (int i = 0; i < 40; i++) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, NULL, unwound, i % 2 ? &left : NULL) != 0)
            exit(4);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED)
            exit(7);
        if (left >= 0)
            close_again(NULL);
    }
}

static void alone_case(void) {
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        int status = -1;
        if (child == 0) {
            unwound(&left);
            _exit(9);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            exit(3);
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
    else if (strcmp(argv[1], "alone") == 0)
        alone_case();
    else if (strcmp(argv[1], "unwound") == 0)
        unwound_case();
    else if (strcmp(argv[1], "early") == 0)
        one();
    else if (strcmp(argv[1], "late") == 0)
        late = atexit(at_exit) == 0;
    return failures != 0;
}
