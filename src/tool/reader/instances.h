/* instances.h - which instances are running, wherever their folders are: by what the processes of this host map, which
 * is the kernel's own word. */
#ifndef CONNSPREAD_TOOL_READER_INSTANCES_H
#define CONNSPREAD_TOOL_READER_INSTANCES_H

#include "state/state.h"

enum { INSTANCE_KEY = 64, INSTANCE_PROGRAM = 16, INSTANCES_WORD = 4 * STATE_PATH + 4 };
enum { INSTANCES_USERS = 256, INSTANCES_OF_USER = 1024, INSTANCES_LINES = 1 << 17 };

/* One file that clients map, or the memory of a client that could have no file. */
struct instance {
    char key[INSTANCE_KEY];         /* device and inode, as maps has them */
    char name[STATE_INSTANCE];      /* empty: not known */
    char path[STATE_PATH];          /* by which this process can open it; empty: none, so that nothing reaches it */
    char dir[STATE_PATH];           /* CONNSPREAD_DIR of its first process; empty: none, or it cannot be seen */
    char config[STATE_PATH];        /* CONNSPREAD_CONF, likewise */
    char program[INSTANCE_PROGRAM]; /* of its first process */
    unsigned pid, uid, processes;
    unsigned fixed; /* of these, those that have CONNSPREAD_MODE, which no override reaches */
    bool has_file;  /* false: private memory */
};

/* What one user's processes have made us look at: lines of maps, and different files. Both have a bound. */
struct instances_user {
    unsigned uid, lines, instances;
};

struct instances {
    struct instance *instance;
    size_t n;
    unsigned users;
    struct instances_user user[INSTANCES_USERS];
    unsigned hidden; /* processes into which we may not look */
};

/* Looks through all processes but the tool's own. False: no memory. */
bool instances_find(struct instances *out);
void instances_free(struct instances *all);

/* Those that follow the state file which we have mapped; NULL: none does. */
const struct instance *instances_of(const struct instances *all, const struct state *s);

/* Processes that say in the file itself that they have connections open, and into which we cannot look: of other pid
 * namespaces, such as a container's beside ours, or because we may not. They may have died. */
unsigned instances_closed_to_us(const struct state *s);

/* Owners of other pid namespaces in the file's table of open connections. */
unsigned instances_foreign(const struct state *s);

/* --- in words, on stderr --- */

#endif
