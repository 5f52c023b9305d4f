#include "tool/host/preloadable.h"

#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool/host/image.h"

enum { HEAD_BYTES = 4096, SCRIPT_DEPTH = 4, NOTES = 64 };

/* This tool and the shim are built together: what the tool is, the shim is. */
#if __SIZEOF_POINTER__ == 8
#define OWN_CLASS ELFCLASS64
typedef Elf64_Ehdr own_header;
typedef Elf64_Phdr own_segment;
typedef Elf64_Shdr own_section;
typedef Elf64_Off own_offset;
#else
#define OWN_CLASS ELFCLASS32
typedef Elf32_Ehdr own_header;
typedef Elf32_Phdr own_segment;
typedef Elf32_Shdr own_section;
typedef Elf32_Off own_offset;
#endif

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__i386__)
#define OWN_MACHINE EM_386
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_NONE
#endif

#ifdef __GLIBC__
#define OWN_MUSL false
#else
#define OWN_MUSL true
#endif

static bool is_musl(const char *interpreter) {
    return strstr(interpreter, "/ld-musl-") != NULL;
}

/* What the Go linker leaves also in stripped programs: a note named "Go", or a section of that name. */
static bool has_go_note(int fd, const own_segment *notes) {
    char note[16];
    static const char go[] = {'G', 'o', 0, 0};
    own_offset at = 0;
    for (int i = 0; i < NOTES && at + sizeof note <= notes->p_filesz; i++) {
        uint32_t size[2]; /* of name and contents: Elf_Nhdr is the same in both classes */
        if (pread(fd, note, sizeof note, (off_t)(notes->p_offset + at)) != (ssize_t)sizeof note)
            return false;
        memcpy(size, note, sizeof size);
        if (size[0] == sizeof go && memcmp(note + 12, go, sizeof go) == 0)
            return true;
        at += 12 + ((own_offset)size[0] + 3) / 4 * 4 + ((own_offset)size[1] + 3) / 4 * 4;
    }
    return false;
}

static bool read_section(int fd, const own_header *header, unsigned i, own_section *out) {
    off_t at = (off_t)header->e_shoff + (off_t)i * header->e_shentsize;
    return header->e_shoff && pread(fd, out, sizeof *out, at) == (ssize_t)sizeof *out;
}

static bool has_go_section(int fd, const own_header *header) {
    static const char wanted[] = ".go.buildinfo";
    own_section names, section;
    char name[sizeof wanted];
    if (!read_section(fd, header, header->e_shstrndx, &names))
        return false;
    for (unsigned i = 0; i < header->e_shnum && read_section(fd, header, i, &section); i++)
        if (pread(fd, name, sizeof name, (off_t)(names.sh_offset + section.sh_name)) == (ssize_t)sizeof name &&
            memcmp(name, wanted, sizeof wanted) == 0)
            return true;
    return false;
}

/* A program of our own class and byte order. */
static enum preloadable look_at_segments(int fd, const own_header *header) {
    own_segment segment;
    char interpreter[256] = "";
    enum preloadable result = PRELOAD_STATIC;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        off_t at = (off_t)header->e_phoff + (off_t)i * header->e_phentsize;
        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return PRELOAD_UNREADABLE;
        if (segment.p_type == PT_NOTE && has_go_note(fd, &segment))
            return PRELOAD_GO;
        if (segment.p_type != PT_INTERP)
            continue;
        if (pread(fd, interpreter, sizeof interpreter - 1, (off_t)segment.p_offset) <= 0)
            return PRELOAD_UNREADABLE;
        result = is_musl(interpreter) == OWN_MUSL ? PRELOAD_OK : PRELOAD_OTHER_LIBC;
    }
    return has_go_section(fd, header) ? PRELOAD_GO : result;
}

static enum preloadable look_at_elf(int fd, const unsigned char *head, size_t n) {
    own_header header;
    unsigned own_data = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
    if (n < sizeof header)
        return PRELOAD_UNREADABLE;
    if (head[EI_DATA] != own_data)
        return PRELOAD_OTHER_MACHINE;
    memcpy(&header, head, sizeof header);
    /* e_machine lies at the same offset in both classes. */
    if (head[EI_CLASS] != OWN_CLASS)
        return PRELOAD_OTHER_CLASS;
    if (OWN_MACHINE != EM_NONE && header.e_machine != OWN_MACHINE)
        return PRELOAD_OTHER_MACHINE;
    return look_at_segments(fd, &header);
}

/* The kernel sets AT_SECURE when an exec changes the process's user or rights; the dynamic linker then ignores
 * LD_PRELOAD. */
static enum preloadable look_at_privileges(int fd, const struct stat *st) {
    struct statvfs fs;
    if (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID)
        return PRELOAD_OK;
    bool other_user = st->st_mode & S_ISUID && st->st_uid != getuid();
    /* Without group execution the bit once meant mandatory locking, and changes no group. */
    bool other_group = (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getgid();
    if (other_user || other_group)
        return PRELOAD_SETUID;
    if (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
        return PRELOAD_CAPABILITIES;
    return PRELOAD_OK;
}

/* "#! /bin/sh -e" -> "/bin/sh", in place. NULL when there is none. */
static char *script_interpreter(char *head) {
    char *start = head + 2 + strspn(head + 2, " \t");
    start[strcspn(start, " \t\n")] = 0;
    return start[0] ? start : NULL;
}

/* One file; a script's interpreter goes to next. */
static enum preloadable look(const char *path, char next[PRELOADABLE_PATH]) {
    char head[HEAD_BYTES + 1];
    struct stat st;
    next[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return PRELOAD_UNREADABLE;
    enum preloadable result = PRELOAD_UNREADABLE;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? pread(fd, head, HEAD_BYTES, 0) : 0;
    head[n > 0 ? n : 0] = 0;
    if (n > SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
        result = look_at_elf(fd, (const unsigned char *)head, (size_t)n);
        enum preloadable privileges = look_at_privileges(fd, &st);
        if (result == PRELOAD_OK)
            result = privileges;
    } else if (n > 2 && head[0] == '#' && head[1] == '!') {
        const char *interpreter = script_interpreter(head);
        if (interpreter)
            snprintf(next, PRELOADABLE_PATH, "%s", interpreter);
    }
    (void)close(fd);
    return result;
}

enum preloadable preloadable(const char *path) {
    char next[PRELOADABLE_PATH], file[PRELOADABLE_PATH];
    enum preloadable result = look(path, next);
    for (int depth = 0; next[0] && depth < SCRIPT_DEPTH; depth++) {
        memcpy(file, next, sizeof file);
        result = look(file, next);
    }
    return result;
}

bool preloadable_file(const char *path, char file[PRELOADABLE_PATH], char linker[PRELOADABLE_LINKER]) {
    char next[PRELOADABLE_PATH];
    struct image m;
    snprintf(file, PRELOADABLE_PATH, "%s", path);
    (void)look(file, next);
    for (int depth = 0; next[0] && depth < SCRIPT_DEPTH; depth++) {
        memcpy(file, next, PRELOADABLE_PATH);
        (void)look(file, next);
    }
    linker[0] = 0;
    const own_segment *s;
    bool opened = image_open(&m, file);
    for (unsigned i = 0; opened && (s = image_segment(&m, i)); i++) {
        const char *text = s->p_type == PT_INTERP ? image_text(&m, s->p_offset, PRELOADABLE_LINKER) : NULL;
        if (text)
            snprintf(linker, PRELOADABLE_LINKER, "%s", text);
    }
    image_close(&m);
    return linker[0] != 0;
}

const char *preloadable_text(enum preloadable why) {
    switch (why) {
    case PRELOAD_OK:
        return NULL;
    case PRELOAD_UNREADABLE:
        return "cannot be read, so whether it can be preloaded is not known";
    case PRELOAD_GO:
        return "is a Go program: its runtime makes system calls itself, and no preloaded library sees them";
    case PRELOAD_STATIC:
        return "is statically linked: no library can be preloaded into it";
    case PRELOAD_SETUID:
        return "runs as another user or group (setuid, setgid): it ignores LD_PRELOAD";
    case PRELOAD_CAPABILITIES:
        return "has file capabilities: for all users but root it ignores LD_PRELOAD";
    case PRELOAD_OTHER_CLASS:
        return "is a program of another word size (32 or 64 bit): it needs a shim built for that";
    case PRELOAD_OTHER_MACHINE:
        return "is built for another processor: it needs a shim built for that";
    case PRELOAD_OTHER_LIBC:
        return "uses another C library (glibc, musl): it needs a shim built against that";
    }
    return "cannot be preloaded";
}

bool preloadable_or_supervised(enum preloadable why) {
    return why == PRELOAD_GO || why == PRELOAD_STATIC || why == PRELOAD_OTHER_LIBC || why == PRELOAD_OTHER_CLASS;
}

static bool executable(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool find_program(char out[PRELOADABLE_PATH], const char *name) {
    if (strchr(name, '/')) {
        snprintf(out, PRELOADABLE_PATH, "%s", name);
        return executable(name);
    }
    const char *path = getenv("PATH");
    if (!path)
        path = "/bin:/usr/bin";
    while (*name) {
        size_t length = strcspn(path, ":");
        int n = length ? snprintf(out, PRELOADABLE_PATH, "%.*s/%s", (int)length, path, name)
                       : snprintf(out, PRELOADABLE_PATH, "./%s", name);
        if (n < PRELOADABLE_PATH && executable(out))
            return true;
        if (!path[length])
            break;
        path += length + 1;
    }
    return false;
}
