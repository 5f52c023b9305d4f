#include "tool/common/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char *text_file(const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    errno = 0;
    ssize_t n = getdelim(&text, &size, 0, file);
    int error = errno;
    if (n < 0 && ferror(file)) {
        free(text);
        text = NULL;
    } else if (n < 0 && text) {
        text[0] = 0; /* an empty file */
    }
    (void)fclose(file);
    errno = error;
    return text;
}

int file_regular(const char *path) {
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    int error = fstat(fd, &s) != 0 ? errno : S_ISREG(s.st_mode) ? 0 : EINVAL;
    if (error == 0)
        return fd;
    (void)close(fd);
    errno = error;
    return -1;
}
