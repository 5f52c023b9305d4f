/* scratch.h - a folder of the test's own, and in it the name for a state file. */
#ifndef CONNSPREAD_TESTS_UNIT_SCRATCH_H
#define CONNSPREAD_TESTS_UNIT_SCRATCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "state/folder.h"
#include "state/state.h"

static char dir[STATE_PATH / 2], path[STATE_PATH];

static void scratch_begin(void) {
    (void)snprintf(dir, sizeof dir, "/tmp/connspread-state-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/test.state", dir);
}

/* With the file, and the lock that its creator took. */
static void scratch_end(void) {
    char lock[STATE_PATH];
    (void)snprintf(lock, sizeof lock, "%s/.lock", dir);
    unlink(path);
    unlink(lock);
    rmdir(dir);
}

#endif
