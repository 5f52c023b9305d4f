/* image.h - an ELF file of this tool's own class in memory, of which nothing is believed. */
#ifndef CONNSPREAD_TOOL_HOST_IMAGE_H
#define CONNSPREAD_TOOL_HOST_IMAGE_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>

/* Whole in memory; every offset is checked against its size. */
struct image {
    const char *bytes;
    size_t size;
};

/* False: it cannot be read. */
bool image_open(struct image *out, const char *path);
void image_close(struct image *m);

/* length bytes at offset; NULL: it has not so many. */
const void *image_part(const struct image *m, ElfW(Off) offset, size_t length);

/* The text at offset; NULL: it does not end within the file, or is not shorter than most. */
const char *image_text(const struct image *m, ElfW(Off) offset, size_t most);

/* The i-th segment; NULL: there is none, or this is no ELF file of our class. */
const ElfW(Phdr) * image_segment(const struct image *m, unsigned i);

/* The dynamic section and how many entries there is room for; NULL: none. */
const ElfW(Dyn) * image_dynamic(const struct image *m, size_t *count);

/* Where in the file an address of the program is; its size: nowhere. */
ElfW(Off) image_offset(const struct image *m, ElfW(Addr) address);

/* Calls found with each name that the file wants of others. False: its table of symbols is not there. */
bool image_imports(const struct image *m, void (*found)(void *context, const char *name), void *context);

#endif
