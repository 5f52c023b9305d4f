/* state_files.h - the state files of this host: where they lie, and which of them nobody uses any more. */
#ifndef CONNSPREAD_TOOL_READER_STATE_FILES_H
#define CONNSPREAD_TOOL_READER_STATE_FILES_H

#include <sys/stat.h>

#include "state/state.h"

struct state_file {
    char path[STATE_PATH];
    char instance[STATE_INSTANCE]; /* by its name; empty: a half-built file that its builder left behind */
    struct stat identity;
    enum state_error usable;
    int error;       /* with STATE_IO */
    uint32_t layout; /* with STATE_OTHER_LAYOUT */
    unsigned users;  /* processes that map it, as far as can be seen */
    unsigned hidden; /* processes of its owner into which we may not look, or of other pid namespaces */
    bool own_folder; /* lies in the folder of this instance (-c, -i, CONNSPREAD_DIR) */
};

struct state_files {
    struct state_file *file;
    size_t n;
};

/* Those in folder; with everybody (as root) also in the default folders of all users and services, and
 * in any that a client uses. Looks through the
 * processes that may be seen for who maps them. False: no memory. */
bool state_files_find(struct state_files *out, const char *folder, bool everybody);
void state_files_free(struct state_files *files);

/* NULL: it is in use, or (unless forced) may be by a process that cannot be looked into, or is being built. Otherwise
 * why it is dead, in words for people. */
const char *state_file_dead(const struct state_file *f, bool force, char text[STATE_PATH]);

#endif
