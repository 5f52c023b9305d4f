/* event_storm STATE COUNT [PER_SECOND [INCIDENT_EVERY]]: writes COUNT time-wait events into a state file, as fast as it
 * can or at a rate, each INCIDENT_EVERY-th an incident of two cells instead. Their age_us counts from 0, so that each
 * of (pid, age_us) or its text is issued exactly once. Prints how many it wrote. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "state/ring.c"
#include "state/folder.c"
#include "state/segment.c"
#include "state/state.c"
#include "base/sys.h"
#include "state/control.h"

/* Of control.c, which would bring the policy along. */
void state_count(const struct state *s, enum arm arm, enum counter c) {
    __atomic_fetch_add(&s->counter[arm][c], 1, __ATOMIC_RELAXED);
}

static void sleep_until(uint64_t ns) {
    const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static bool write_one(const struct state *s, uint64_t i, uint64_t incident_every) {
    struct event_record r = {.e = {.kind = EVENT_TIME_WAIT, .program = "storm", .verified = VERIFIED_NULL}};
    r.e.time_us = clock_ns(CLOCK_REALTIME) / 1000;
    r.e.pid = r.e.tid = (uint32_t)getpid();
    r.e.age_us = i;
    r.e.local.b[10] = r.e.local.b[11] = r.e.peer.b[10] = r.e.peer.b[11] = 0xff;
    r.e.local_port = (uint16_t)i;
    r.e.peer_port = 80;
    if (incident_every && i % incident_every == 0) {
        r.e.kind = EVENT_OVERRIDE;
        snprintf(r.u.text, sizeof r.u.text, "storm %llu", (unsigned long long)i);
    }
    return ring_write(s, &r);
}

int main(int argc, char **argv) {
    struct state s;
    int error = 0;
    if (argc < 3 || state_map(&s, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "event_storm: no state file, error %d\n", error);
        return 1;
    }
    uint64_t count = strtoull(argv[2], NULL, 10), rate = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t incident_every = argc > 4 ? strtoull(argv[4], NULL, 10) : 0, dropped = 0;
    uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    for (uint64_t i = 0; i < count; i++) {
        if (rate && i % (rate / 1000 + 1) == 0)
            sleep_until(begin + i * 1000000000 / rate);
        dropped += !write_one(&s, i, incident_every);
    }
    printf("%llu dropped\n", (unsigned long long)dropped);
    return 0;
}
