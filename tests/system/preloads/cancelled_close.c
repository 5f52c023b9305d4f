/* A thread that is cancelled in the close of a pipe. Prints "cancelled" if it did not come to the line after it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2];

static void *closes(void *unused) {
    close(ends[0]);
    return unused;
}

int main(void) {
    pthread_t thread;
    void *result = NULL;
    if (pipe(ends) != 0 || pthread_create(&thread, NULL, closes, NULL) != 0)
        exit(4);
    usleep(200000);
    if (pthread_cancel(thread) != 0 || pthread_join(thread, &result) != 0)
        exit(5);
    puts(result == PTHREAD_CANCELED ? "cancelled" : "closed");
    return 0;
}
