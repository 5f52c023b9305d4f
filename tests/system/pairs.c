/* pairs STATE: how many connections the pairs of a state file count as open, all together. Negative counts, which no
 * pair should have, are told too. */
#include <stdio.h>

#include "state/folder.c"
#include "state/segment.c"
#include "state/state.c"
#include "state/control.h"

/* Of control.c, which would bring the policy along. */
void state_count(const struct state *s, enum arm arm, enum counter c) {
    __atomic_fetch_add(&s->counter[arm][c], 1, __ATOMIC_RELAXED);
}

int main(int argc, char **argv) {
    struct state s;
    int error = 0;
    long open = 0, negative = 0;
    if (argc != 2 || state_map(&s, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "pairs: no state file, error %d\n", error);
        return 1;
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        if (s.pairs->pair[i].open > 0)
            open += s.pairs->pair[i].open;
        else
            negative -= s.pairs->pair[i].open;
    }
    printf("%ld %ld\n", open, negative);
    return 0;
}
