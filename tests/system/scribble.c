/* scribble STATE SEED COUNT EACH PAUSE_US: what a hostile or broken process of the same user can do to a state file.
 * Makes COUNT random changes in it, PAUSE_US microseconds apart; after EACH of them the file's bytes are put back as
 * they were at the beginning, so that not everything is over after the first. The same SEED makes the same changes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "state/folder.c"
#include "state/segment.c"
#include "state/state.c"
#include "state/control.h"

/* Of control.c, which would bring the policy along. */
void state_count(const struct state *s, enum arm arm, enum counter c) {
    __atomic_fetch_add(&s->counter[arm][c], 1, __ATOMIC_RELAXED);
}

static uint64_t random_state;

static uint64_t any(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1du;
}

static uint64_t below(uint64_t n) {
    return (any() >> 16) % n;
}

/* The header and each section are equally likely, however large; within one, its beginning is. */
static uint64_t place(const struct state_section *section, uint64_t size) {
    uint64_t part = below(SECTIONS + 2);
    if (part < SECTIONS && section[part].size > 8) {
        uint64_t reach = below(2) ? section[part].size : 8192;
        return section[part].offset + below(reach < section[part].size ? reach : section[part].size);
    }
    return below(part == SECTIONS ? size : sizeof(struct state_header));
}

static uint64_t interesting(void) {
    static const uint64_t value[] = {0,          1,         2,          63,       64,        255,
                                     256,        4095,      4096,       65535,    65536,     INT32_MAX,
                                     UINT32_MAX, INT64_MAX, UINT64_MAX, 1u << 31, 1ull << 63};
    return below(3) ? value[below(sizeof value / sizeof *value)] : any();
}

static void change(unsigned char *file, const struct state_section *section, uint64_t size) {
    uint64_t at = place(section, size), other = place(section, size), length = 1ull << below(13), word;
    if (at > size - 4096)
        at = size - 4096;
    if (other > size - 4096)
        other = size - 4096;
    switch (below(6)) {
    case 0:
        file[at] ^= (unsigned char)(1u << below(8));
        break;
    case 1:
        file[at] = (unsigned char)any();
        break;
    case 2:
        word = interesting();
        memcpy(file + (at & ~7ull), &word, 1ull << below(4));
        break;
    case 3:
        memmove(file + at, file + other, length);
        break;
    case 4:
        memset(file + at, (int)interesting(), length);
        break;
    default:
        for (uint64_t i = 0; i < length; i++)
            file[at + i] = (unsigned char)any();
        break;
    }
}

int main(int argc, char **argv) {
    struct state s;
    struct state_section section[SECTIONS];
    int error = 0;
    if (argc != 6 || state_map(&s, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "scribble: no state file, error %d\n", error);
        return 1;
    }
    random_state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    unsigned long count = strtoul(argv[3], NULL, 10), each = strtoul(argv[4], NULL, 10);
    useconds_t pause = (useconds_t)strtoul(argv[5], NULL, 10);
    unsigned char *file = (unsigned char *)s.header, *before = malloc(s.size);
    if (!before || each == 0)
        return 1;
    memcpy(before, file, s.size);
    memcpy(section, s.header->section, sizeof section);
    for (unsigned long i = 0; i < count; i++) {
        if (i % each == 0)
            memcpy(file, before, s.size);
        change(file, section, s.size);
        usleep(pause);
    }
    memcpy(file, before, s.size);
    printf("%lu changes\n", count);
    return 0;
}
