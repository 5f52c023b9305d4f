/* large STATE OPEN PAIRS dead|living|mixed: fills a state file as a large host may: so many open connections, 63 of
 * each process, so many pairs, all statistics, all of the day's history, and rings that have gone round. dead: of
 * processes that are gone, so that readers tell how each of them ended; living: of the process that started this one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "state/history.h"
#include "state/open_chunk.h"
#include "state/pair.h"
#include "state/pair_table.h"
#include "state/ring.h"
#include "state/segment.h"
#include "state/state.h"
#include "state/stats.h"
#include "tool/host/netns.h"
#include "tool/host/owner.h"

/* Above any process (proc(5), pid_max). */
enum { NO_PROCESS = 1 << 23, CLOSES = 300000 };

static struct state state;
static uint64_t netns, namespace;

static struct addr client(unsigned i) {
    return addr_from_v4(0x0a000000u + i % 4);
}

static struct endpoint server(unsigned i) {
    return (struct endpoint){.addr = addr_from_v4(0x0b000000u + i), .port = 443};
}

static struct open_entry connection(unsigned i) {
    const struct endpoint to = server(i / 20000);
    return (struct open_entry){.local = client(i),
                               .peer = to.addr,
                               .local_port = (uint16_t)(1024 + i % 20000),
                               .peer_port = to.port,
                               .rule_id = 1,
                               .pool_id = 2,
                               .connected_ns = clock_ns(CLOCK_REALTIME),
                               .word = OPEN_NOW,
                               .direction = OUTBOUND};
}

static struct open_chunk *chunk_of(unsigned n) {
    if (n >= open_chunks(&state))
        (void)segment_grow(state.segments, SEGMENT_OPEN, (n - OPEN_FIRST) / OPEN_BLOCK);
    struct open_chunk *chunk = open_chunk_make(&state, n);
    if (!chunk) {
        fprintf(stderr, "large: no room for %u chunks\n", n);
        exit(1);
    }
    return chunk;
}

static void fill_open(unsigned open, bool dead) {
    for (unsigned i = 0; i < open; i++) {
        unsigned n = i / OPEN_PER_CHUNK;
        struct open_chunk *chunk = chunk_of(n);
        chunk->entry[i % OPEN_PER_CHUNK] = connection(i);
        if (i % OPEN_PER_CHUNK != 0)
            continue;
        chunk->born_ns = clock_ns(CLOCK_BOOTTIME);
        chunk->seen_ns = clock_ns(CLOCK_REALTIME);
        chunk->pid_namespace = namespace;
        chunk->netns = netns;
        memcpy(chunk->program, "crawler", sizeof "crawler");
        state.open_table->owner[n] = dead ? NO_PROCESS + n : (uint64_t)getppid();
    }
}

static void fill_pairs(unsigned pairs) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < pairs; i++) {
        const struct endpoint to = server(i);
        const struct addr from = client(i);
        struct pair *p = pair_find(&state, pair_key(netns, &from, &to), true, now);
        const struct pair_flow flow = {.source = &from, .destination = &to, .rule_id = 1};
        for (unsigned j = 0; i % 1000 == 0 && j < UNANSWERED; j++)
            (void)pair_unanswered(p, &flow, &(struct pair_wait){now + j, now + j + 1, now + j + 1}, now + j);
    }
}

static void fill_counts(void) {
    uint32_t minute = (uint32_t)(clock_ns(CLOCK_REALTIME) / 60000000000u);
    for (unsigned i = 0; i < HISTORY_MINUTES * HISTORY_FLOWS * 4u; i++) {
        const struct addr from = client(i);
        const struct endpoint to = server(i);
        struct history_flow f = {.netns = netns, .source = &from, .destination = &to, .program = "crawler"};
        f.key = history_key(pair_key(netns, &from, &to), history_program("crawler"));
        (void)history_connect(&state, &f, minute - HISTORY_MINUTES + 1 + i % HISTORY_MINUTES, 1000);
    }
    for (unsigned i = 0; i < STATS; i++) {
        const struct addr from = addr_from_v4(0x0a000000u + i);
        const struct stat_connect c = {.elapsed_ns = 1000, .spread = true};
        stats_connect(&state, stats_find(&state, ARM_ENFORCE, 1, &from), ARM_ENFORCE, &c);
    }
}

static void fill_rings(void) {
    uint64_t now = clock_ns(CLOCK_REALTIME) / 1000;
    for (unsigned i = 0; i < CLOSES; i++) {
        const struct endpoint to = server(i % 3000);
        struct event_record r = {.e = {.kind = i % 50 ? EVENT_TIME_WAIT : EVENT_SOURCE_DOWN,
                                       .time_us = now - CLOSES + i,
                                       .netns = netns,
                                       .fate = FATE_TIME_WAIT,
                                       .phase = TCP_STATE_ESTABLISHED,
                                       .local = client(i),
                                       .local_port = (uint16_t)(30000 + i % 20000),
                                       .peer = to.addr,
                                       .peer_port = to.port,
                                       .rule_id = 1,
                                       .pool_id = 2}};
        memcpy(r.e.program, "crawler", sizeof "crawler");
        (void)ring_write(&state, &r);
    }
}

int main(int argc, char **argv) {
    int error = 0;
    if (argc < 5 || state_map(&state, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "large: %s: no state file, error %d\n", argc < 2 ? "" : argv[1], error);
        return 1;
    }
    netns = netns_cookie();
    namespace = owner_namespace();
    fill_open((unsigned)atoi(argv[2]), strcmp(argv[4], "dead") == 0);
    fill_pairs((unsigned)atoi(argv[3]));
    fill_counts();
    fill_rings();
    return 0;
}
