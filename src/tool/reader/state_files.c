#include "tool/reader/state_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "tool/reader/instances.h"

enum { HALF_BUILT_SECONDS = 60 };
static const char suffix[] = ".state", half_built[] = ".new-";

static struct state_file *add(struct state_files *files) {
    struct state_file *grown = realloc(files->file, (files->n + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    files->file = grown;
    grown[files->n] = (struct state_file){0};
    return &grown[files->n++];
}

static uint32_t layout_of(const char *path) {
    struct state_header header = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        if (pread(fd, &header, sizeof header, 0) != sizeof header)
            header.layout = 0;
        (void)close(fd);
    }
    return header.layout;
}

static void look_into(struct state_file *f) {
    struct state s;
    f->usable = state_map(&s, f->path, false, true, &f->error);
    if (f->usable == STATE_OK) {
        f->hidden += instances_foreign(&s); /* in another pid namespace, such as a container's */
        state_unmap(&s);
    } else if (f->usable == STATE_OTHER_LAYOUT) {
        f->layout = layout_of(f->path);
    }
}

/* Is it one of ours, by its name? */
static bool take_name(struct state_file *f, const char *folder, const char *name) {
    size_t length = strlen(name), end = sizeof suffix - 1;
    bool half = strncmp(name, half_built, sizeof half_built - 1) == 0;
    bool whole = !half && name[0] != '.' && length > end && strcmp(name + length - end, suffix) == 0;
    if ((!half && !whole) || (whole && length - end >= sizeof f->instance))
        return false;
    if (snprintf(f->path, sizeof f->path, "%s/%s", folder, name) >= (int)sizeof f->path)
        return false;
    if (whole)
        memcpy(f->instance, name, length - end);
    return lstat(f->path, &f->identity) == 0 && S_ISREG(f->identity.st_mode);
}

static bool known(const struct state_files *files, const struct stat *s) {
    for (size_t i = 0; i < files->n; i++)
        if (files->file[i].identity.st_ino == s->st_ino && files->file[i].identity.st_dev == s->st_dev)
            return true;
    return false;
}

static bool read_folder(struct state_files *files, const char *folder, bool own) {
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    bool good = true;
    while (dir && good && (entry = readdir(dir))) {
        struct state_file found = {.own_folder = own}, *f;
        if (!take_name(&found, folder, entry->d_name) || known(files, &found.identity))
            continue;
        if (found.instance[0])
            look_into(&found);
        f = add(files);
        good = f != NULL;
        if (f)
            *f = found;
    }
    if (dir)
        (void)closedir(dir);
    return good;
}

static bool read_all_folders(struct state_files *files) {
    static const char *const pattern[] = {"/run/connspread", "/run/connspread-*", "/run/user/*/connspread",
                                          "/dev/shm/connspread-*"};
    bool good = true;
    for (unsigned i = 0; i < sizeof pattern / sizeof *pattern && good; i++) {
        glob_t found;
        if (glob(pattern[i], 0, NULL, &found) != 0)
            continue;
        for (size_t j = 0; j < found.gl_pathc && good; j++)
            good = read_folder(files, found.gl_pathv[j], false);
        globfree(&found);
    }
    return good;
}

/* Any folder may be a CONNSPREAD_DIR or a unit's RuntimeDirectory: those that are in use show in what clients map. */
static bool read_running(struct state_files *files) {
    struct instances running;
    bool good = instances_find(&running);
    for (size_t i = 0; i < running.n && good; i++) {
        char *slash = strrchr(running.instance[i].path, '/');
        if (!slash)
            continue;
        *slash = 0;
        good = read_folder(files, running.instance[i].path, false);
    }
    instances_free(&running);
    return good;
}

/* One line of /proc/PID/maps. Some file systems show another device there than stat does: then the name decides. */
static bool maps(const char *line, const struct state_file *f) {
    const char *name = strrchr(f->path, '/'), *at = line;
    char *end;
    for (int field = 0; field < 3; field++) { /* addresses, permissions, offset */
        at = strchr(at, ' ');
        if (!at++)
            return false;
    }
    unsigned long device_major = strtoul(at, &end, 16);
    unsigned long device_minor = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
    if (strtoull(end, NULL, 10) != f->identity.st_ino)
        return false;
    return makedev((unsigned)device_major, (unsigned)device_minor) == f->identity.st_dev || strstr(line, name) != NULL;
}

static void look_at_maps(struct state_files *files, FILE *file, bool *seen) {
    char *line = NULL;
    size_t size = 0;
    memset(seen, 0, files->n);
    while (getline(&line, &size, file) > 0) {
        if (!strchr(line, '/'))
            continue;
        for (size_t i = 0; i < files->n; i++)
            seen[i] = seen[i] || maps(line, &files->file[i]);
    }
    free(line);
    for (size_t i = 0; i < files->n; i++)
        files->file[i].users += seen[i];
}

/* A client maps only its own user's files and root's. */
static void note_hidden(struct state_files *files, uid_t uid) {
    for (size_t i = 0; i < files->n; i++)
        files->file[i].hidden += files->file[i].identity.st_uid == uid;
}

static void look_at_process(struct state_files *files, const char *pid, bool *seen) {
    char path[64];
    struct stat s;
    int length = snprintf(path, sizeof path, "/proc/%.20s", pid);
    if (strtoul(pid, NULL, 10) == (unsigned long)getpid() || stat(path, &s) != 0)
        return;
    snprintf(path + length, sizeof path - (size_t)length, "/maps");
    FILE *file = fopen(path, "re");
    if (file) {
        look_at_maps(files, file, seen);
        (void)fclose(file);
    } else if (errno != ENOENT && errno != ESRCH && !(geteuid() == 0 && strcmp(pid, "1") == 0)) {
        note_hidden(files, s.st_uid); /* an init with more rights than root has here is no client */
    }
}

static bool look_at_processes(struct state_files *files) {
    bool *seen = calloc(files->n + 1, sizeof *seen);
    DIR *proc = seen ? opendir("/proc") : NULL;
    const struct dirent *entry;
    while (proc && (entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            look_at_process(files, entry->d_name, seen);
    if (!proc) /* who uses them cannot be known */
        for (size_t i = 0; i < files->n; i++)
            files->file[i].hidden++;
    if (proc)
        (void)closedir(proc);
    free(seen);
    return seen != NULL;
}

static int by_path(const void *a, const void *b) {
    const struct state_file *left = a, *right = b;
    if (left->own_folder != right->own_folder)
        return left->own_folder ? -1 : 1;
    return strcmp(left->path, right->path);
}

bool state_files_find(struct state_files *out, const char *folder, bool everybody) {
    *out = (struct state_files){0};
    if (read_folder(out, folder, true) && (!everybody || (read_all_folders(out) && read_running(out))) &&
        look_at_processes(out)) {
        if (out->n)
            qsort(out->file, out->n, sizeof *out->file, by_path);
        return true;
    }
    state_files_free(out);
    return false;
}

void state_files_free(struct state_files *files) {
    free(files->file);
    *files = (struct state_files){0};
}

const char *state_file_dead(const struct state_file *f, bool force, char text[STATE_PATH]) {
    if (f->users || (f->hidden && !force))
        return NULL;
    if (!f->instance[0]) {
        bool old = time(NULL) - f->identity.st_mtime > HALF_BUILT_SECONDS;
        return old ? "half built, by a process that was killed over it" : NULL;
    }
    switch (f->usable) {
    case STATE_OK:
        return "no living process maps it";
    case STATE_OTHER_LAYOUT:
        snprintf(text, STATE_PATH,
                 "no living process maps it, and another version of connspread made it (layout %u, not %d)", f->layout,
                 STATE_LAYOUT);
        return text;
    case STATE_NOT_A_STATE:
        return "no living process maps it, and it is damaged or no state file";
    default:
        return NULL;
    }
}
