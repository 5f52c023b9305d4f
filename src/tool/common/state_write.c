#include "tool/common/state_write.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/common/rights.h"
#include "state/folder.h"

static const char *volatile mapped;
static const char *volatile also_mapped;

static void put(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(EXIT_FOUND);
}

/* Nothing was left half done that others would wait for: no lock lives in the file. */
static void page_lost(int number) {
    const char *path = mapped, *also = also_mapped;
    (void)number;
    put("connspread: ");
    put(path ? path : "");
    put(path && also ? " or " : "");
    put(also ? also : "");
    put(": was cut by another process while it was in use, or its disk is broken: start again\n");
    _exit(EXIT_FOUND);
}

static void say_when_lost(void) {
    struct sigaction action = {.sa_handler = page_lost};
    (void)sigaction(SIGBUS, &action, NULL);
}

void mapped_beside(const char *path) {
    also_mapped = path;
    say_when_lost();
}

/* The blocks that are said to be there. File systems that cannot do it have no holes, or their own way with a full
 * disk.
 */
static int have_blocks(int fd, const struct state_header *header, uint64_t size) {
    int error = 0;
    for (uint64_t n = 0, end; n < size / BLOCK_BYTES && error == 0; n = end + 1) {
        for (end = n; end < size / BLOCK_BYTES && header->block[end / 64] >> end % 64 & 1; end++)
            continue;
        const off_t from = (off_t)(n * BLOCK_BYTES), length = (off_t)((end - n) * BLOCK_BYTES);
        if (length > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, from, length) != 0)
            error = errno;
    }
    return error == EOPNOTSUPP || error == ENOSYS || error == EINTR ? 0 : error;
}

static int have_pages(const char *path) {
    struct state_header header;
    uint64_t size = 0;
    struct stat s;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), error = 0;
    if (fd < 0)
        return 0; /* state_map says why */
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
        pread(fd, &header, sizeof header, 0) == sizeof header &&
        state_check_header(&header, (uint64_t)s.st_size, &size) == STATE_OK)
        error = have_blocks(fd, &header, size);
    (void)close(fd);
    return error;
}

enum state_error state_write(struct state *out, const char *path, int *error) {
    *error = have_pages(path);
    if (*error)
        return STATE_IO;
    mapped = path;
    say_when_lost();
    return state_map(out, path, error);
}

enum state_error state_write_for_owner(struct state *out, const char *path, int *error) {
    char folder[STATE_PATH];
    *error = ENAMETOOLONG;
    if (!folder_of(folder, path) || !rights_of_folder(folder))
        return STATE_IO;
    rights_again();
    enum state_error result = state_write(out, path, error);
    rights_back();
    return result;
}
