#include "tool/host/clients.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The part of a line of maps that names the file: "03:0c 1234". stat(2) would name another device on btrfs and
 * overlayfs. */
bool maps_line_key(const char *line, unsigned long long *start, char out[64]) {
    char device[32], inode[32];
    // NOLINTNEXTLINE(cert-err34-c): the kernel wrote these numbers
    if (sscanf(line, "%llx-%*x %*4s %*x %31s %31s", start, device, inode) != 3 || strcmp(inode, "0") == 0)
        return false;
    snprintf(out, 64, "%s %s", device, inode);
    return true;
}

bool maps_line_file(const char *line, uint64_t address, char out[64]) {
    unsigned long long start;
    return maps_line_key(line, &start, out) && start == address;
}

static FILE *open_maps(const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    return fopen(path, "re");
}

bool maps_key(const void *mapping, char out[64]) {
    char line[512];
    FILE *maps = open_maps("self");
    bool found = false;
    while (maps && !found && fgets(line, sizeof line, maps))
        found = maps_line_file(line, (uintptr_t)mapping, out);
    if (maps)
        (void)fclose(maps);
    return found;
}

static bool maps_it(const char *pid, const char *file) {
    char line[512], other[64];
    unsigned long long start;
    FILE *maps = open_maps(pid);
    bool found = false, whole = true;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        /* The rest of a line that is longer, a path, is passed over. */
        found = whole && maps_line_key(line, &start, other) && strcmp(other, file) == 0;
        whole = strchr(line, '\n') != NULL;
    }
    if (maps)
        (void)fclose(maps);
    return found;
}

/* Another copy of the tool, of another version perhaps, is known by its name. */
static bool is_named_so(const char *exe) {
    char target[512];
    ssize_t n = readlink(exe, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = 0;
    const char *name = strrchr(target, '/');
    return name && (strcmp(name, "/connspread") == 0 || strcmp(name, "/connspread (deleted)") == 0);
}

static bool comm_of(const char *pid, char out[32]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "re");
    bool read = file && fgets(out, 32, file);
    if (file)
        (void)fclose(file);
    return read;
}

/* Under qemu-user stat() sees qemu behind the exe of each process, the clients' too: then the name tells. */
static bool is_our_file(const char *exe, const char *pid) {
    struct stat ours, theirs;
    char own[32], other[32];
    return stat("/proc/self/exe", &ours) == 0 && stat(exe, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev && comm_of("self", own) && comm_of(pid, other) && strcmp(own, other) == 0;
}

bool is_tool(const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/exe", pid);
    return is_named_so(path) || is_our_file(path, pid);
}

bool clients_exist(const void *mapping, uint32_t *last) {
    char file[64], pid[16];
    if (!maps_key(mapping, file))
        return true;
    snprintf(pid, sizeof pid, "%u", *last);
    if (*last != 0 && maps_it(pid, file) && !is_tool(pid))
        return true;
    *last = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return true;
    for (const struct dirent *e; *last == 0 && (e = readdir(proc));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && maps_it(e->d_name, file) && !is_tool(e->d_name))
            *last = (uint32_t)strtoul(e->d_name, NULL, 10);
    (void)closedir(proc);
    return *last != 0;
}
