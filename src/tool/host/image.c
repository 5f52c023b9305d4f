#include "tool/host/image.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool image_open(struct image *out, const char *path) {
    struct stat st;
    *out = (struct image){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped != MAP_FAILED)
            *out = (struct image){mapped, (size_t)st.st_size};
    }
    (void)close(fd);
    return out->bytes != NULL;
}

void image_close(struct image *m) {
    if (m->bytes)
        (void)munmap((void *)(unsigned long)m->bytes, m->size);
    *m = (struct image){0};
}

const void *image_part(const struct image *m, ElfW(Off) offset, size_t length) {
    return offset <= m->size && length <= m->size - offset ? m->bytes + offset : NULL;
}

const ElfW(Phdr) * image_segment(const struct image *m, unsigned i) {
    const ElfW(Ehdr) *header = image_part(m, 0, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || i >= header->e_phnum ||
        header->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header->e_phentsize != sizeof(ElfW(Phdr)))
        return NULL;
    return image_part(m, header->e_phoff + i * sizeof(ElfW(Phdr)), sizeof(ElfW(Phdr)));
}

ElfW(Off) image_offset(const struct image *m, ElfW(Addr) address) {
    const ElfW(Phdr) * p;
    for (unsigned i = 0; (p = image_segment(m, i)); i++)
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
            return address - p->p_vaddr + p->p_offset;
    return m->size;
}

const ElfW(Dyn) * image_dynamic(const struct image *m, size_t *count) {
    const ElfW(Phdr) * p;
    for (unsigned i = 0; (p = image_segment(m, i)); i++)
        if (p->p_type == PT_DYNAMIC) {
            *count = p->p_filesz / sizeof(ElfW(Dyn));
            return image_part(m, p->p_offset, p->p_filesz);
        }
    return NULL;
}

const char *image_text(const struct image *m, ElfW(Off) offset, size_t most) {
    const char *text = image_part(m, offset, 1);
    size_t room = text ? m->size - offset : 0;
    return text && strnlen(text, room < most ? room : most) < (room < most ? room : most) ? text : NULL;
}

static const ElfW(Shdr) * section(const struct image *m, unsigned i) {
    const ElfW(Ehdr) *header = image_part(m, 0, sizeof *header);
    if (!image_segment(m, 0) || i >= header->e_shnum || header->e_shentsize != sizeof(ElfW(Shdr)) ||
        header->e_shoff % _Alignof(ElfW(Shdr)))
        return NULL;
    return image_part(m, header->e_shoff + i * sizeof(ElfW(Shdr)), sizeof(ElfW(Shdr)));
}

bool image_imports(const struct image *m, void (*found)(void *context, const char *name), void *context) {
    enum { NAME_MAX_BYTES = 128 };
    const ElfW(Shdr) *table = NULL, *s;
    for (unsigned i = 0; !table && (s = section(m, i)); i++)
        if (s->sh_type == SHT_DYNSYM)
            table = s;
    const ElfW(Shdr) *names = table ? section(m, table->sh_link) : NULL;
    bool aligned = names && table->sh_offset % _Alignof(ElfW(Sym)) == 0;
    const ElfW(Sym) *symbol = aligned ? image_part(m, table->sh_offset, table->sh_size) : NULL;
    for (size_t i = 0; symbol && i < table->sh_size / sizeof *symbol; i++) {
        const char *name = symbol[i].st_shndx == SHN_UNDEF
                               ? image_text(m, names->sh_offset + symbol[i].st_name, NAME_MAX_BYTES)
                               : NULL;
        if (name && *name)
            found(context, name);
    }
    return symbol != NULL;
}
