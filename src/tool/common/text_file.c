#include "tool/common/text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
