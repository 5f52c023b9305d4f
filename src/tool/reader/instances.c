/* A client maps its state file for as long as it lives, whether or not it has a connection: so /proc/PID/maps tells. */
#include "tool/reader/instances.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/host/clients.h"
#include "tool/common/override.h"
#include "tool/host/owner.h"
#include "state/copy.h"
#include "state/state.h"
#include "state/open_chunk.h"

enum { LINE = 4608, ENVIRON = 256 << 10 };
static const char suffix[] = ".state", deleted[] = " (deleted)";

/* --- lines of maps --- */

/* The path of a line, without " (deleted)"; NULL: it has none. line loses its newline. */
static char *path_of(char *line, bool *gone) {
    char *path = strchr(line, '/');
    line[strcspn(line, "\n")] = 0;
    size_t length = path ? strlen(path) : 0, end = sizeof deleted - 1;
    *gone = length > end && strcmp(path + length - end, deleted) == 0;
    if (*gone)
        path[length - end] = 0;
    return path;
}

/* Anonymous memory that is laid out as a state file: a client that could have no file (state_private). */
static bool is_private(const char *line, const char *path) {
    struct state_header layout = {0};
    unsigned long long start, end;
    char mode[8];
    // NOLINTNEXTLINE(cert-err34-c): the kernel wrote these numbers
    if (strcmp(path, "/dev/zero") != 0 || sscanf(line, "%llx-%llx %7s", &start, &end, mode) != 3)
        return false;
    sections_plan(&layout, LOG_SIZE_PRIVATE);
    return strcmp(mode, "rw-s") == 0 && end - start == (layout.size + 4095) / 4096 * 4096;
}

static bool name_of(char out[STATE_INSTANCE], const char *path) {
    const char *name = strrchr(path, '/') + 1;
    size_t length = strlen(name), end = sizeof suffix - 1;
    if (length <= end || length - end >= STATE_INSTANCE || strcmp(name + length - end, suffix) != 0)
        return false;
    memcpy(out, name, length - end);
    out[length - end] = 0;
    return true;
}

/* --- processes --- */

/* "NAME=value" of a process's environment, as it was when the process began. */
static void environment_of(const char *words, size_t size, const char *name, char out[STATE_PATH]) {
    size_t length = strlen(name);
    for (size_t at = 0; at < size; at += strlen(words + at) + 1)
        if (strncmp(words + at, name, length) == 0 && words[at + length] == '=' &&
            strlen(words + at + length + 1) < STATE_PATH)
            memcpy(out, words + at + length + 1, strlen(words + at + length + 1) + 1);
}

static size_t read_all(const char *pid, const char *what, char *out, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, what);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(out, 1, size - 1, file) : 0;
    if (file)
        (void)fclose(file);
    out[n] = 0;
    return n;
}

/* What the environment of an instance's first process says is a hint for people, and which instance a client without a
 * file is of. */
static void parse_environment(struct instance *i, const char *words, size_t n) {
    char name[STATE_PATH] = "";
    environment_of(words, n, "CONNSPREAD_DIR", i->dir);
    environment_of(words, n, "CONNSPREAD_CONF", i->config);
    environment_of(words, n, "CONNSPREAD_INSTANCE", name);
    if (i->has_file)
        return;
    (void)state_instance(i->name, name[0] ? name : NULL, i->config[0] ? i->config : NULL);
}

static void look_at_environment(struct instance *i, const char *pid) {
    char mode[STATE_PATH] = "", *words = malloc(ENVIRON);
    size_t n = words ? read_all(pid, "environ", words, ENVIRON) : 0;
    if (i->processes == 0)
        parse_environment(i, words, n);
    environment_of(words, n, "CONNSPREAD_MODE", mode);
    i->fixed += override_mode(mode) >= 0;
    free(words);
}

static void look_at_program(struct instance *i, const char *pid) {
    char path[64];
    struct stat s;
    (void)read_all(pid, "comm", i->program, sizeof i->program);
    i->program[strcspn(i->program, "\n")] = 0;
    i->pid = (unsigned)strtoul(pid, NULL, 10);
    snprintf(path, sizeof path, "/proc/%.20s", pid);
    i->uid = stat(path, &s) == 0 ? s.st_uid : 0;
}

/* Another mount namespace may have another file at this path: only what maps as the very same is it. */
static bool opens(const char *path, const char *key, bool *ours) {
    char mapped[INSTANCE_KEY];
    struct state s;
    int error = 0;
    enum state_error result = state_copy(&s, AT_FDCWD, path, 0, &error);
    if (result == STATE_NOT_A_STATE)
        *ours = false;
    if (result != STATE_OK)
        return false;
    void *mapping = state_copy_mapping(&s);
    bool same = mapping && maps_key(mapping, mapped) && strcmp(mapped, key) == 0;
    if (mapping)
        (void)munmap(mapping, 1);
    state_release(&s);
    return same;
}

/* False: this is no file of ours after all. */
static bool find_path(struct instance *i, const char *pid, const char *path) {
    bool ours = true;
    int n = snprintf(i->path, sizeof i->path, "%s", path);
    if (n < (int)sizeof i->path && opens(i->path, i->key, &ours))
        return true;
    n = snprintf(i->path, sizeof i->path, "/proc/%.20s/root%s", pid, path);
    if (n < (int)sizeof i->path && opens(i->path, i->key, &ours))
        return true;
    i->path[0] = 0;
    return ours;
}

static struct instance *known(const struct instances *all, const char *key) {
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->instance[i].key, key) == 0)
            return &all->instance[i];
    return NULL;
}

/* A user can map any number of files. Users beyond the last place share it. */
static struct instances_user *user_of(struct instances *all, uid_t uid) {
    unsigned i = 0;
    while (i < all->users && i < INSTANCES_USERS - 1 && all->user[i].uid != uid)
        i++;
    if (i == all->users) {
        all->user[i].uid = uid;
        all->users++;
    }
    return &all->user[i];
}

/* Takes note of what this line maps; false: no memory. *last: the index of what the same process mapped before. */
static bool parse_line(struct instances *all, struct instances_user *user, const char *pid, char *line,
                       const struct instance **last) {
    struct instance found = {.has_file = true}, *i;
    unsigned long long start;
    bool gone;
    char *path = path_of(line, &gone);
    if (!path || !maps_line_key(line, &start, found.key))
        return true;
    if (is_private(line, path))
        found.has_file = false;
    else if (!name_of(found.name, path))
        return true;
    i = known(all, found.key);
    if (!i && user->instances++ >= INSTANCES_OF_USER)
        return true;
    if (!i) {
        look_at_environment(&found, pid);
        found.processes = 1;
        look_at_program(&found, pid);
        if (found.has_file && !gone && !find_path(&found, pid, path))
            return true;
        struct instance *grown = realloc(all->instance, (all->n + 1) * sizeof *grown);
        if (!grown)
            return false;
        all->instance = grown;
        i = &grown[all->n++];
        *i = found;
    } else if (i != *last) {
        look_at_environment(i, pid);
        i->processes++;
    }
    *last = i;
    return true;
}

/* Its real uid, by its own status: /proc/PID belongs to root where a process may not be dumped, as after setuid(2), and
 * what a user maps must not be counted as root's. */
static uid_t uid_of(const char *pid) {
    char status[1024];
    (void)read_all(pid, "status", status, sizeof status);
    const char *line = strstr(status, "\nUid:");
    return line ? (uid_t)strtoul(line + strlen("\nUid:"), NULL, 10) : 0;
}

static bool look_at_process(struct instances *all, const char *pid) {
    char path[64], line[LINE];
    const struct instance *last = NULL;
    bool good = true, whole = true;
    snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps) {
        all->hidden += errno == EACCES || errno == EPERM;
        return true;
    }
    if (!is_tool(pid)) {
        struct instances_user *user = user_of(all, uid_of(pid));
        while (good && fgets(line, sizeof line, maps)) {
            bool start = whole;
            whole = strchr(line, '\n') != NULL;
            if (start && whole && (strstr(line, suffix) || strstr(line, "/dev/zero")) &&
                user->lines++ < INSTANCES_LINES)
                good = parse_line(all, user, pid, line, &last);
        }
    }
    (void)fclose(maps);
    return good;
}

bool instances_find(struct instances *out) {
    *out = (struct instances){0};
    bool good = true;
    DIR *proc = opendir("/proc");
    for (const struct dirent *e; proc && good && (e = readdir(proc));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            good = look_at_process(out, e->d_name);
    if (proc)
        (void)closedir(proc);
    if (!good)
        instances_free(out);
    return good;
}

void instances_free(struct instances *all) {
    free(all->instance);
    *all = (struct instances){0};
}

const struct instance *instances_of(const struct instances *all, const struct state *s) {
    char key[INSTANCE_KEY];
    return maps_key(s->header, key) ? known(all, key) : NULL;
}

/* --- by the file's own word --- */

static bool is_closed_to_us(uint64_t owner) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/maps", (uint32_t)owner);
    FILE *maps = fopen(path, "re");
    if (maps)
        (void)fclose(maps);
    return !maps && (errno == EACCES || errno == EPERM);
}

unsigned instances_foreign(const struct state *s) {
    uint64_t ours = owner_namespace();
    unsigned n = 0, end = open_chunks(s);
    struct open_chunk room;
    for (unsigned i = 0; i < end; i++) {
        bool taken = __atomic_load_n(&s->open_table->owner[i], __ATOMIC_RELAXED) != 0;
        const struct open_chunk *chunk = taken ? state_chunk(s, i, &room) : NULL;
        n += chunk && chunk->pid_namespace != ours;
    }
    return n;
}

unsigned instances_closed_to_us(const struct state *s) {
    uint64_t ours = owner_namespace();
    unsigned n = instances_foreign(s), end = open_chunks(s);
    struct open_chunk room;
    for (unsigned i = 0; i < end; i++) {
        uint64_t owner = __atomic_load_n(&s->open_table->owner[i], __ATOMIC_RELAXED);
        const struct open_chunk *chunk = owner != 0 ? state_chunk(s, i, &room) : NULL;
        n += chunk && chunk->pid_namespace == ours && owner_lives((uint32_t)owner, chunk->born_ns) &&
             is_closed_to_us(owner);
    }
    return n;
}
