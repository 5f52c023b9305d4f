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
#include "tool/common/message.h"
#include "state/copy.h"
#include "state/folder.h"

enum { HALF_BUILT_SECONDS = 60 };
static const char suffix[] = ".state", half_built[] = ".new-";

int state_folder_open(const char *folder) {
    return open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

enum state_error state_file_copy(const struct state_file *f, struct state *out, unsigned sections, int *error) {
    char folder[STATE_PATH];
    const char *name = folder_of(folder, f->path);
    int dir = name ? state_folder_open(folder) : -1;
    *error = errno;
    if (dir < 0)
        return STATE_IO;
    enum state_error result = state_copy(out, dir, name, sections, error);
    (void)close(dir);
    return result;
}

static bool add(struct state_files *files, const struct state_file *f) {
    if (files->n % 64 == 0) {
        struct state_file *grown = realloc(files->file, (files->n + 64) * sizeof *grown);
        if (!grown)
            return false;
        files->file = grown;
    }
    files->file[files->n++] = *f;
    return true;
}

/* Our own folder's files have no bound but the one of all. */
static bool within_bounds(struct state_files *files, const struct state_file *f) {
    unsigned of_user = 0;
    for (size_t i = 0; i < files->n && !f->own_folder; i++)
        of_user += files->file[i].identity.st_uid == f->identity.st_uid;
    bool within = files->n < STATE_FILES && of_user < STATE_FILES_PER_USER;
    files->left_out += !within;
    return within;
}

void state_files_warn(const struct state_files *files) {
    if (files->left_out)
        warn("%zu state files or folders left out: %d files of one user, %d in all, %d folders are the most; try: "
             "CONNSPREAD_DIR=FOLDER and -i for one of them",
             files->left_out, STATE_FILES_PER_USER, STATE_FILES, STATE_FOLDERS);
}

static uint32_t layout_of(int dir, const char *name) {
    struct state_header header = {0};
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        if (pread(fd, &header, sizeof header, 0) != sizeof header)
            header.layout = 0;
        (void)close(fd);
    }
    return header.layout;
}

static void look_into(struct state_file *f, int dir, const char *name) {
    struct state s;
    f->usable = state_copy(&s, dir, name, COPY(SECTION_OPEN_TABLE), &f->error);
    if (f->usable == STATE_OK) {
        f->hidden += instances_foreign(&s); /* in another pid namespace, such as a container's */
        state_release(&s);
    } else if (f->usable == STATE_OTHER_LAYOUT) {
        f->layout = layout_of(dir, name);
    }
}

/* Is it one of ours, by its name? */
static bool take_name(struct state_file *f, const char *folder, int dir, const char *name) {
    size_t length = strlen(name), end = sizeof suffix - 1;
    bool half = strncmp(name, half_built, sizeof half_built - 1) == 0;
    bool whole = !half && name[0] != '.' && length > end && strcmp(name + length - end, suffix) == 0;
    if ((!half && !whole) || (whole && length - end >= sizeof f->instance))
        return false;
    if (snprintf(f->path, sizeof f->path, "%s/%s", folder, name) >= (int)sizeof f->path)
        return false;
    if (whole)
        memcpy(f->instance, name, length - end);
    return fstatat(dir, name, &f->identity, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(f->identity.st_mode);
}

static bool known(const struct state_files *files, const struct stat *s) {
    for (size_t i = 0; i < files->n; i++)
        if (files->file[i].identity.st_ino == s->st_ino && files->file[i].identity.st_dev == s->st_dev)
            return true;
    return false;
}

static bool read_entry(struct state_files *files, const char *folder, int dir, const char *name, bool own) {
    struct state_file found = {.own_folder = own};
    if (!take_name(&found, folder, dir, name) || known(files, &found.identity) || !within_bounds(files, &found))
        return true;
    if (found.instance[0])
        look_into(&found, dir, name);
    return add(files, &found);
}

static bool read_folder(struct state_files *files, const char *folder, bool own) {
    int fd = state_folder_open(folder);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool good = true;
    for (unsigned n = 0; dir && good && (entry = readdir(dir)); n++) {
        if (n < STATE_ENTRIES)
            good = read_entry(files, folder, fd, entry->d_name, own);
        else if (n == STATE_ENTRIES)
            files->left_out++;
        else
            break;
    }
    if (dir)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
    return good;
}

static bool read_all_folders(struct state_files *files) {
    static const char *const pattern[] = {"/run/connspread", "/run/connspread-*", "/run/user/*/connspread",
                                          "/dev/shm/connspread-*"};
    bool good = true;
    for (unsigned i = 0; i < sizeof pattern / sizeof *pattern && good; i++) {
        glob_t found;
        if (glob(pattern[i], GLOB_NOSORT, NULL, &found) != 0)
            continue;
        for (size_t j = 0; j < found.gl_pathc && good; j++) {
            if (j < STATE_FOLDERS)
                good = read_folder(files, found.gl_pathv[j], false);
            else
                files->left_out++;
        }
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

/* One mapping of a process. Some file systems show another device there than stat does: then the name decides. */
struct mapping {
    dev_t device;
    unsigned long long inode;
    const char *line;
};

/* A line of /proc/PID/maps. */
static bool parse_mapping(struct mapping *m, const char *line) {
    const char *at = line;
    char *end;
    for (int field = 0; field < 3; field++) { /* addresses, permissions, offset */
        at = strchr(at, ' ');
        if (!at++)
            return false;
    }
    unsigned long device_major = strtoul(at, &end, 16);
    unsigned long device_minor = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
    *m = (struct mapping){makedev((unsigned)device_major, (unsigned)device_minor), strtoull(end, NULL, 10), line};
    return m->inode != 0;
}

static int by_inode(const void *a, const void *b) {
    const struct state_file *left = *(struct state_file *const *)a, *right = *(struct state_file *const *)b;
    return (left->identity.st_ino > right->identity.st_ino) - (left->identity.st_ino < right->identity.st_ino);
}

/* The files by inode, so that a line of maps is not compared with each of them. */
struct index {
    struct state_file **file;
    size_t n;
};

static size_t first_of(const struct index *index, unsigned long long inode) {
    size_t low = 0, high = index->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->file[middle]->identity.st_ino < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void look_at_maps(const struct index *index, FILE *file, unsigned long pid) {
    char *line = NULL;
    size_t size = 0;
    struct mapping m;
    while (getline(&line, &size, file) > 0) {
        if (!strchr(line, '/') || !parse_mapping(&m, line))
            continue;
        for (size_t i = first_of(index, m.inode); i < index->n && index->file[i]->identity.st_ino == m.inode; i++) {
            struct state_file *f = index->file[i];
            if (f->last_user == pid || (m.device != f->identity.st_dev && !strstr(line, strrchr(f->path, '/'))))
                continue;
            f->last_user = pid;
            f->users++;
        }
    }
    free(line);
}

/* A client maps only its own user's files and root's. */
static void note_hidden(struct state_files *files, uid_t uid) {
    for (size_t i = 0; i < files->n; i++)
        files->file[i].hidden += files->file[i].identity.st_uid == uid;
}

static void look_at_process(struct state_files *files, const struct index *index, const char *pid) {
    char path[64];
    struct stat s;
    unsigned long number = strtoul(pid, NULL, 10);
    int length = snprintf(path, sizeof path, "/proc/%.20s", pid);
    if (number == (unsigned long)getpid() || stat(path, &s) != 0)
        return;
    snprintf(path + length, sizeof path - (size_t)length, "/maps");
    FILE *file = fopen(path, "re");
    if (file) {
        look_at_maps(index, file, number);
        (void)fclose(file);
    } else if (errno != ENOENT && errno != ESRCH && !(geteuid() == 0 && number == 1)) {
        note_hidden(files, s.st_uid); /* an init with more rights than root has here is no client */
    }
}

static bool look_at_processes(struct state_files *files) {
    struct index index = {calloc(files->n + 1, sizeof(struct state_file *)), files->n};
    DIR *proc = index.file ? opendir("/proc") : NULL;
    const struct dirent *entry;
    for (size_t i = 0; index.file && i < files->n; i++)
        index.file[i] = &files->file[i];
    if (index.file && files->n)
        qsort(index.file, files->n, sizeof(struct state_file *), by_inode);
    while (proc && (entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            look_at_process(files, &index, entry->d_name);
    if (!proc) /* which processes use them cannot be known */
        for (size_t i = 0; i < files->n; i++)
            files->file[i].hidden++;
    if (proc)
        (void)closedir(proc);
    bool good = index.file != NULL;
    free(index.file);
    return good;
}

static int by_path(const void *a, const void *b) {
    const struct state_file *left = a, *right = b;
    if (left->own_folder != right->own_folder)
        return left->own_folder ? -1 : 1;
    return strcmp(left->path, right->path);
}

bool state_files_find(struct state_files *out, const char *folder, bool all_users) {
    *out = (struct state_files){0};
    if (read_folder(out, folder, true) && (!all_users || (read_all_folders(out) && read_running(out))) &&
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
