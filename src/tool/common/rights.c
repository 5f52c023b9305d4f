#include "tool/common/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/message.h"

static struct {
    bool taken;
    uid_t uid;
    gid_t gid;
} owner;

static bool become(uid_t uid, gid_t gid) {
    return setegid(gid) == 0 && seteuid(uid) == 0;
}

bool rights_of_folder(const char *folder) {
    struct stat s;
    int fd = geteuid() == 0 && !owner.taken ? open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool other = fd >= 0 && fstat(fd, &s) == 0 && s.st_uid != 0;
    if (fd >= 0)
        (void)close(fd);
    if (!other)
        return true;
    /* Where groups cannot be changed (a user namespace), there are none that would matter. */
    (void)setgroups(0, NULL);
    if (!become(s.st_uid, s.st_gid)) {
        warn("%s: belongs to uid %u, and its rights cannot be taken: %s; try: as that user", folder, (unsigned)s.st_uid,
             strerror(errno));
        return false;
    }
    owner.taken = true;
    owner.uid = s.st_uid;
    owner.gid = s.st_gid;
    return true;
}

/* Half changed is worse than ended. */
void rights_back(void) {
    if (owner.taken && (seteuid(0) != 0 || setegid(0) != 0))
        abort();
}

void rights_again(void) {
    if (owner.taken && !become(owner.uid, owner.gid))
        abort();
}
