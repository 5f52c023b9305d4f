#include "tool/screen/live.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tool/screen/full.h"
#include "tool/screen/wrap.h"

/* A look that took 20 ms of a processor is not repeated before 2.4 s are over. */
enum { IDLE_PER_BUSY = 120, HEAD_LINES = 2, LINES = 24 };

static uint64_t spent_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void put_head(const struct live *l, const struct screen *to, unsigned wait_ms) {
    char now[32] = "";
    time_t seconds = time(NULL);
    struct tm parts;
    if (gmtime_r(&seconds, &parts))
        (void)strftime(now, sizeof now, "%H:%M:%S", &parts);
    wrap_printf(to, SCREEN_HANG, "%s   %s UTC   every %.1f s%s   q: quit\n", l->title, now, wait_ms / 1000.0,
                wait_ms > l->every_ms ? " (a look takes long)" : "");
}

static void show(const struct live *l, unsigned wait_ms) {
    struct screen to = screen_stdout();
    unsigned columns, lines;
    char *text = NULL;
    size_t size = 0;
    screen_size(STDOUT_FILENO, &columns, &lines);
    lines = lines ? lines : LINES;
    to.width = columns >= SCREEN_NARROWEST ? columns : columns ? SCREEN_NARROWEST : SCREEN_WIDTH;
    to.out = open_memstream(&text, &size);
    if (!to.out)
        return;
    put_head(l, &to, wait_ms);
    l->draw(l->context, &to, lines > HEAD_LINES ? lines - HEAD_LINES : 1);
    if (fclose(to.out) == 0)
        full_show(text);
    free(text);
}

static const char *look(const struct live *l, unsigned *wait_ms) {
    uint64_t before = spent_us();
    const char *wrong = l->look(l->context);
    uint64_t idle_ms = (spent_us() - before) * IDLE_PER_BUSY / 1000;
    idle_ms = idle_ms < LIVE_MOST_MS ? idle_ms : LIVE_MOST_MS;
    *wait_ms = idle_ms > l->every_ms ? (unsigned)idle_ms : l->every_ms;
    return wrong;
}

/* Into a file or a pipe: no keys; a signal ends it as it ends any program. */
static const char *run_plain(const struct live *l) {
    const struct screen to = screen_stdout();
    const char *wrong;
    unsigned wait_ms;
    while (!(wrong = look(l, &wait_ms))) {
        (void)putc('\n', stdout);
        l->draw(l->context, &to, 0);
        if (fflush(stdout) != 0)
            return NULL; /* which the tool looks for at its end */
        struct timespec left = {(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000};
        (void)nanosleep(&left, NULL);
    }
    return wrong;
}

const char *live_run(const struct live *l) {
    const char *wrong = NULL;
    unsigned wait_ms = l->every_ms;
    enum full_event event = FULL_TIME;
    if (!full_begin())
        return run_plain(l);
    while (event != FULL_QUIT && !wrong) {
        if (event != FULL_RESIZED)
            wrong = look(l, &wait_ms);
        if (!wrong) {
            show(l, wait_ms);
            event = full_wait(wait_ms);
        }
    }
    full_end();
    return wrong;
}
