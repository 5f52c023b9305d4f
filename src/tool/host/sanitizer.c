#include "tool/host/sanitizer.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* A program of this tool's own class, whole in memory; every offset is checked against its size. */
struct image {
    const char *bytes;
    size_t size;
};

static const void *part(const struct image *m, ElfW(Off) offset, size_t length) {
    return offset <= m->size && length <= m->size - offset ? m->bytes + offset : NULL;
}

static const ElfW(Phdr) * segment(const struct image *m, unsigned i) {
    const ElfW(Ehdr) *header = part(m, 0, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || i >= header->e_phnum ||
        header->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header->e_phentsize != sizeof(ElfW(Phdr)))
        return NULL;
    return part(m, header->e_phoff + i * sizeof(ElfW(Phdr)), sizeof(ElfW(Phdr)));
}

/* Where in the file an address of the program is. */
static ElfW(Off) offset_of(const struct image *m, ElfW(Addr) address) {
    const ElfW(Phdr) * p;
    for (unsigned i = 0; (p = segment(m, i)); i++)
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
            return address - p->p_vaddr + p->p_offset;
    return m->size;
}

static const ElfW(Dyn) * dynamic(const struct image *m, size_t *count) {
    const ElfW(Phdr) * p;
    for (unsigned i = 0; (p = segment(m, i)); i++)
        if (p->p_type == PT_DYNAMIC) {
            *count = p->p_filesz / sizeof(ElfW(Dyn));
            return part(m, p->p_offset, p->p_filesz);
        }
    return NULL;
}

static bool find(const struct image *m, char name[SANITIZER_NAME]) {
    size_t count = 0;
    const ElfW(Dyn) *d = dynamic(m, &count);
    ElfW(Off) strings = m->size;
    for (size_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == DT_STRTAB)
            strings = offset_of(m, d[i].d_un.d_ptr);
    for (size_t i = 0; d && i < count && d[i].d_tag != DT_NULL; i++) {
        const char *needed = d[i].d_tag == DT_NEEDED ? part(m, strings + d[i].d_un.d_val, 1) : NULL;
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
    struct stat st;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        struct image m = {.size = (size_t)st.st_size};
        void *mapped = mmap(NULL, m.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped != MAP_FAILED) {
            m.bytes = mapped;
            found = find(&m, name);
            (void)munmap(mapped, m.size);
        }
    }
    (void)close(fd);
    return found;
}
