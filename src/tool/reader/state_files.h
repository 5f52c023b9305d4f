/* state_files.h - the state files of this host: where they lie, and which of them no process uses any more. */
#ifndef CONNSPREAD_TOOL_READER_STATE_FILES_H
#define CONNSPREAD_TOOL_READER_STATE_FILES_H

#include <sys/stat.h>

#include "state/state.h"

struct state_file {
    char path[STATE_PATH];
    char instance[STATE_INSTANCE]; /* by its name; empty: a half-built file that its builder left behind */
    struct stat identity;
    enum state_error usable;
    int error;               /* with STATE_IO */
    uint32_t layout;         /* with STATE_OTHER_LAYOUT */
    unsigned long last_user; /* the process that was last seen to map it */
    unsigned users;          /* processes that map it, as far as can be seen */
    unsigned hidden;         /* processes of its owner into which we may not look, or of other pid namespaces */
    bool own_folder;         /* lies in the folder of this instance (-c, -i, CONNSPREAD_DIR) */
};

/* A user can make any number of files, and a folder can hold anything: what is read of both has a bound. */
enum { STATE_FILES_PER_USER = 4096, STATE_FILES = 1 << 14, STATE_FOLDERS = 1 << 12, STATE_ENTRIES = 1 << 16 };

struct state_files {
    struct state_file *file;
    size_t n, left_out; /* left_out: files and folders beyond the bounds */
};

/* Those in folder; with all_users (as root) also in the default folders of all users and services, and
 * in any that a client uses. Looks through the
 * processes that may be seen for those that map them. False: no memory. */
bool state_files_find(struct state_files *out, const char *folder, bool all_users);
void state_files_free(struct state_files *files);

/* Says on stderr that a bound was met, if one was. */
void state_files_warn(const struct state_files *files);

/* Opens a folder of any owner, but not through a symbolic link. A descriptor, or -1 with errno. */
int state_folder_open(const char *folder);

/* A copy of it (copy.h), from within its folder. */
enum state_error state_file_copy(const struct state_file *f, struct state *out, unsigned sections, int *error);

/* NULL: it is in use, or (unless forced) may be by a process that cannot be looked into, or is being built. Otherwise
 * why it is dead, in words for people. */
const char *state_file_dead(const struct state_file *f, bool force, char text[STATE_PATH]);

#endif
