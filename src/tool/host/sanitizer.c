#include "tool/host/sanitizer.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "tool/host/image.h"

bool sanitizer_is(const char *path, size_t length) {
    static const char *const stem[] = {"libasan.so",  "libtsan.so",   "liblsan.so",
                                       "libubsan.so", "libhwasan.so", "libclang_rt."};
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    for (size_t i = 0; i < sizeof stem / sizeof *stem; i++)
        if (length - start >= strlen(stem[i]) && memcmp(path + start, stem[i], strlen(stem[i])) == 0)
            return true;
    return false;
}

static bool find(const struct image *m, char name[SANITIZER_NAME]) {
    size_t count = 0;
    const ElfW(Dyn) *d = image_dynamic(m, &count);
    ElfW(Off) strings = m->size;
    for (size_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == DT_STRTAB)
            strings = image_offset(m, d[i].d_un.d_ptr);
    for (size_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        const char *needed = d[i].d_tag == DT_NEEDED ? image_part(m, strings + d[i].d_un.d_val, 1) : NULL;
        size_t room = needed ? m->size - (size_t)(needed - m->bytes) : 0;
        size_t length = needed ? strnlen(needed, room < SANITIZER_NAME ? room : SANITIZER_NAME) : 0;
        if (length > 0 && length < SANITIZER_NAME && length < room && sanitizer_is(needed, length)) {
            memcpy(name, needed, length + 1);
            return true;
        }
    }
    return false;
}

bool sanitizer_needed(const char *path, char name[SANITIZER_NAME]) {
    struct image m;
    bool found = image_open(&m, path) && find(&m, name);
    image_close(&m);
    return found;
}
