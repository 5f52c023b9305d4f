/* later_traffic STATE MINUTES PER_MINUTE: what clients would write into a state file in the next MINUTES minutes, at
 * once: PER_MINUTE closes of "worker" that left a TIME-WAIT towards 10.9.0.1:80, evenly over each minute, as events and
 * in the history. Prints how many events the event buffer of closes holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/history.h"
#include "state/pair.h"
#include "state/ring.h"
#include "base/sys.h"

static void write_close(const struct state *s, const struct endpoint *destination, uint64_t time_us, uint64_t i) {
    struct event_record r = {.e = {.kind = EVENT_TIME_WAIT, .program = "worker", .pid = 1, .tid = 1}};
    r.e.time_us = time_us;
    r.e.local = addr_from_v4(0x0a00000b);
    r.e.local_port = (uint16_t)(32768 + i % 28232);
    r.e.peer = destination->addr;
    r.e.peer_port = destination->port;
    (void)ring_write(s, &r);
}

int main(int argc, char **argv) {
    struct state s;
    int error = 0;
    if (argc != 4 || state_map(&s, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "later_traffic: no state file, error %d\n", error);
        return 1;
    }
    uint32_t now = (uint32_t)(clock_ns(CLOCK_REALTIME) / 60000000000u);
    uint64_t minutes = strtoull(argv[2], NULL, 10), per_minute = strtoull(argv[3], NULL, 10);
    const struct addr source = addr_from_v4(0x0a00000b);
    const struct endpoint destination = {.addr = addr_from_v4(0x0a090001), .port = 80};
    struct history_flow flow = {.source = &source, .destination = &destination, .program = "worker"};
    flow.key = history_key(pair_key(0, &source, &destination), history_program(flow.program));
    for (uint64_t i = 0; i < minutes * per_minute; i++) {
        uint32_t minute = now + 1 + (uint32_t)(i / per_minute);
        write_close(&s, &destination, minute * 60000000ull + i % per_minute * (60000000ull / per_minute), i);
        (void)history_connect(&s, &flow, minute, 20000);
        history_count(&s, &flow, minute, HISTORY_TIME_WAITS);
    }
    printf("%llu\n", (unsigned long long)s.cells[RING_CLOSES]);
    return 0;
}
