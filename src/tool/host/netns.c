#include "tool/host/netns.h"
#include "base/kernel_constants.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMESPACES = 256, NAME = 32 };

uint64_t netns_cookie(void) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        cookie = 0;
    (void)close(fd);
    return cookie;
}

static ino_t inode_of(const char *pid) {
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%.20s/ns/net", pid);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* The cookie of the namespace in which that process is; 0: we may not go there. A child goes, so that this process is
 * never in another than its own. */
static uint64_t cookie_of(const char *pid) {
    char path[64];
    uint64_t cookie = 0;
    int ends[2];
    (void)snprintf(path, sizeof path, "/proc/%.20s/ns/net", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    pid_t child = fork();
    if (child == 0) {
        cookie = setns(fd, CLONE_NEWNET) == 0 ? netns_cookie() : 0;
        _exit(write(ends[1], &cookie, sizeof cookie) != (ssize_t)sizeof cookie);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], &cookie, sizeof cookie) != (ssize_t)sizeof cookie)
        cookie = 0;
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    (void)close(ends[0]);
    (void)close(fd);
    return cookie;
}

/* A process in that namespace; false: none into which we may look. */
static bool find_process(uint64_t cookie, char out[NAME]) {
    ino_t seen[NAMESPACES] = {inode_of("self")};
    unsigned n = 1;
    DIR *proc = opendir("/proc");
    bool found = false;
    for (const struct dirent *entry; proc && !found && n < NAMESPACES && (entry = readdir(proc));) {
        ino_t inode = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? inode_of(entry->d_name) : 0;
        bool known = inode == 0;
        for (unsigned i = 0; i < n; i++)
            known = known || seen[i] == inode;
        if (known)
            continue;
        seen[n++] = inode;
        found = cookie_of(entry->d_name) == cookie;
        if (found)
            (void)snprintf(out, NAME, "%.20s", entry->d_name);
    }
    if (proc)
        (void)closedir(proc);
    return found;
}

/* The incident's own process, if it is still the one, and elsewhere. */
static bool is_still_there(uint32_t pid, const char *program, char out[NAME]) {
    char path[64], name[NAME] = "";
    (void)snprintf(out, NAME, "%u", pid);
    (void)snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "re");
    bool same = file && fgets(name, sizeof name, file) && strncmp(name, program, strcspn(name, "\n")) == 0;
    if (file)
        (void)fclose(file);
    ino_t inode = same ? inode_of(out) : 0;
    return inode && inode != inode_of("self");
}

bool netns_is_other(struct netns_seen *seen, uint64_t cookie, uint32_t pid, const char *program) {
    char process[NAME];
    if (seen->own == 0)
        seen->own = netns_cookie();
    if (cookie == 0 || seen->own == 0 || cookie == seen->own)
        return false;
    if (seen->cookie == cookie && seen->other)
        return true;
    seen->cookie = cookie;
    seen->other = true;
    bool searched = seen->searches < NETNS_SEARCHES;
    seen->searches += searched;
    if ((searched && find_process(cookie, process)) || is_still_there(pid, program, process))
        (void)snprintf(seen->way, sizeof seen->way,
                       "what this host shows here is not what was met there; try: nsenter -t %s -n connspread quads",
                       process);
    else
        (void)snprintf(seen->way, sizeof seen->way, "what this host shows here is not what was met there%s",
                       searched ? ", and no process that this user may look into is in it now"
                                : "; it was not searched for, for there are too many");
    return true;
}
