#include "state/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/open_chunk.h"
#include "state/segment.h"
#include "state/state.h"

enum { WINDOW_CELLS = 256 };

/* Behind the copied sections, in the same memory. */
struct ring_window {
    int fd;
    unsigned sections;
    struct state_section file[SECTIONS]; /* where each lies in the file */
    uint64_t segments_at;                /* where they begin */
    struct segments segments;            /* those that are needed, each in memory of its own */
    struct {
        uint64_t first, n; /* cells first..first+n-1 are in cell[] */
        bool gone;         /* the file was cut: it is not asked again */
        struct cell cell[WINDOW_CELLS];
    } ring[RINGS];
};

static bool read_all(int fd, void *out, uint64_t size, uint64_t from) {
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)out + done, (size_t)(size - done), (off_t)(from + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : ENODATA;
            return false;
        }
        done += (uint64_t)n;
    }
    return true;
}

/* out is zero where the file has a hole; fresh: it is zero already, and what is not read costs no memory. Where holes
 * cannot be asked for, all is read. */
static bool read_data(int fd, char *out, struct state_section part, bool fresh) {
    uint64_t at = part.offset, end = part.offset + part.size;
    while (at < end) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) /* only a hole follows, or the file was cut: then its size says so */
            return true;
        uint64_t from = data < 0 ? at : (uint64_t)data;
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        uint64_t to = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
        if (from >= end)
            return true;
        if (!fresh)
            memset(out + (at - part.offset), 0, (size_t)(from - at));
        if (to <= from || !read_all(fd, out + (from - part.offset), to - from, from))
            return false;
        at = to;
    }
    return true;
}

static bool whole(int fd, const struct state_section file[SECTIONS]) {
    off_t size = lseek(fd, 0, SEEK_END);
    uint64_t need = 0;
    for (unsigned i = 0; i < SECTIONS; i++)
        need = file[i].offset + file[i].size > need ? file[i].offset + file[i].size : need;
    errno = ENODATA;
    return size >= 0 && (uint64_t)size >= need;
}

static bool copy_sections(const struct ring_window *w, unsigned sections, const struct state_header *layout) {
    for (unsigned i = 0; i < SECTIONS; i++)
        if (sections & COPY(i) && !read_data(w->fd, (char *)layout + layout->section[i].offset, w->file[i], false))
            return false;
    return whole(w->fd, w->file);
}

/* Those of one kind; SEGMENT_FREE: all. */
static void segments_drop(struct ring_window *w, enum segment_kind kind) {
    for (unsigned i = 0; i < w->segments.n; i++) {
        if (!w->segments.at[i] || (kind != SEGMENT_FREE && w->segments.header->segment[i] != kind))
            continue;
        (void)munmap(w->segments.at[i], SEGMENT_BYTES);
        w->segments.at[i] = NULL;
    }
}

/* out is zero. */
static bool read_segment(const struct ring_window *w, unsigned n, void *out) {
    const struct state_section part = {w->segments_at + (uint64_t)n * SEGMENT_BYTES, SEGMENT_BYTES};
    return read_data(w->fd, out, part, true);
}

static bool is_hole(const struct ring_window *w, unsigned n) {
    uint64_t from = w->segments_at + (uint64_t)n * SEGMENT_BYTES;
    off_t data = lseek(w->fd, (off_t)from, SEEK_DATA);
    return data < 0 ? errno == ENXIO : (uint64_t)data >= from + SEGMENT_BYTES;
}

bool state_copy_segment(const struct state *s, unsigned n, enum segment_kind kind, void *out) {
    const struct segments *all = &s->window->segments;
    if (n >= all->n || all->header->segment[n] != kind || is_hole(s->window, n))
        return false;
    memset(out, 0, SEGMENT_BYTES);
    return read_segment(s->window, n, out);
}

const struct open_chunk *state_chunk(const struct state *s, unsigned n, struct open_chunk *room) {
    const struct ring_window *w = s->window;
    if (!w || n < OPEN_FIRST)
        return open_chunk_of(s, n);
    unsigned segment = (n - OPEN_FIRST) / OPEN_BLOCK;
    uint64_t at = w->segments_at + (uint64_t)(n - OPEN_FIRST) * sizeof *room;
    bool there = segment < w->segments.n && w->segments.header->segment[segment] == SEGMENT_OPEN;
    return there && read_all(w->fd, room, sizeof *room, at) ? room : NULL;
}

/* Pairs are read from the file one segment after the other, the open table chunk by chunk. */
static bool is_wanted(unsigned sections, uint8_t kind) {
    return kind == SEGMENT_HISTORY && sections & COPY(SECTION_HISTORY);
}

/* Those of what is wanted, as the header that was read names them. False: it was cut, or no memory. */
static bool copy_segments(struct ring_window *w, unsigned sections, const struct state_header *header) {
    struct segments *all = &w->segments;
    for (unsigned i = 0; i < all->n; i++) {
        if (!is_wanted(sections, header->segment[i]))
            continue;
        void *at = all->at[i];
        if (at && madvise(at, SEGMENT_BYTES, MADV_DONTNEED) != 0) /* zero again */
            return false;
        if (!at)
            at = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            return false;
        all->at[i] = at;
        if (!read_segment(w, i, at))
            return false;
    }
    return true;
}

/* The copy's own layout: that of a small file, with the header of the one that was read. */
static size_t lay_out(struct state_header *header) {
    struct state_header layout = {0};
    sections_plan(&layout, LOG_SIZE_MIN);
    memcpy(header->section, layout.section, sizeof header->section);
    header->size = layout.size;
    blocks_are_there(header, BLOCKS);
    return (size_t)layout.size;
}

/* A file that was opened: its header, and how much of it every process maps. */
struct opened {
    struct state_header header;
    uint64_t size, mapped;
};

/* What a copy needs besides its sections. */
static void fill_window(struct state *out, int fd, unsigned sections, const struct opened *f) {
    uint64_t room = (f->size - f->mapped) / SEGMENT_BYTES;
    struct ring_window *w = out->window;
    w->fd = fd;
    w->sections = sections;
    w->segments_at = f->mapped;
    w->segments.n = room < SEGMENTS ? (unsigned)room : SEGMENTS;
    w->segments.header = out->header;
    w->segments.copied = true;
    out->segments = &w->segments;
    for (unsigned i = 0; i < RINGS; i++) {
        out->ring[i] = NULL;
        out->cells[i] = w->file[i == RING_INCIDENTS ? SECTION_INCIDENTS : SECTION_CLOSES].size / CELL_BYTES;
    }
}

static enum state_error make(struct state *out, int fd, unsigned sections, struct opened *f, int *error) {
    struct state_section file[SECTIONS];
    struct state_header *header = &f->header;
    if (!sections_take(file, header, f->mapped))
        return STATE_NOT_A_STATE;
    size_t planned = lay_out(header), size = planned + sizeof(struct ring_window);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        *error = errno;
        return STATE_IO;
    }
    memcpy(memory, header, sizeof *header);
    if (!sections_bind(out, memory, planned)) {
        (void)munmap(memory, size);
        return STATE_NOT_A_STATE;
    }
    out->size = size;
    out->window = (struct ring_window *)(void *)((char *)memory + planned);
    memcpy(out->window->file, file, sizeof file);
    fill_window(out, fd, sections, f);
    if (copy_sections(out->window, sections, out->header) && copy_segments(out->window, sections, out->header))
        return STATE_OK;
    *error = errno;
    segments_drop(out->window, SEGMENT_FREE);
    (void)munmap(memory, size);
    return STATE_IO;
}

static enum state_error read_header(int fd, struct opened *f, int *error) {
    enum state_error result = state_check_file(fd, geteuid() == 0, &f->size);
    if (result == STATE_OK && !read_all(fd, &f->header, sizeof f->header, 0)) {
        *error = errno;
        return STATE_IO;
    }
    return result == STATE_OK ? state_check_header(&f->header, f->size, &f->mapped) : result;
}

enum state_error state_copy(struct state *out, int dir, const char *path, unsigned sections, int *error) {
    struct opened f;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    *out = (struct state){0};
    *error = fd < 0 ? errno : 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? STATE_ABSENT : STATE_IO;
    enum state_error result = read_header(fd, &f, error);
    if (result == STATE_OK)
        result = make(out, fd, sections, &f, error);
    if (result != STATE_OK) {
        (void)close(fd);
        *out = (struct state){0};
    }
    return result;
}

bool state_copy_again(const struct state *s, unsigned more) {
    struct ring_window *w = s->window;
    struct state_header header;
    w->sections |= more;
    if (!read_all(w->fd, &header, sizeof header, 0) ||
        (w->sections & COPY(SECTION_OPEN_TABLE) &&
         !read_data(w->fd, (char *)s->open_table, w->file[SECTION_OPEN_TABLE], false)) ||
        !copy_segments(w, w->sections, &header) || !read_all(w->fd, &header, sizeof header, 0))
        return false;
    (void)lay_out(&header);
    memcpy(s->header, &header, sizeof header);
    for (unsigned i = 0; i < RINGS; i++)
        w->ring[i].n = 0, w->ring[i].gone = false;
    return copy_sections(w, w->sections & ~COPY(SECTION_OPEN_TABLE), s->header);
}

bool state_copy_is_ours(const struct state *s) {
    struct stat file;
    return fstat(s->window->fd, &file) == 0 && file.st_uid == geteuid();
}

void *state_copy_mapping(const struct state *s) {
    void *mapping = mmap(NULL, 1, PROT_NONE, MAP_SHARED, s->window->fd, 0);
    return mapping == MAP_FAILED ? NULL : mapping;
}

void state_copy_drop(const struct state *s, enum section section) {
    const struct state_section *part = &s->header->section[section]; /* ours: lay_out made it */
    if (section == SECTION_HISTORY)
        segments_drop(s->window, SEGMENT_HISTORY);
    s->window->sections &= ~COPY(section);
    (void)madvise((char *)s->header + part->offset, (size_t)part->size, MADV_DONTNEED);
}

void state_release(struct state *s) {
    if (s->window) {
        (void)close(s->window->fd);
        segments_drop(s->window, SEGMENT_FREE);
        s->segments = NULL; /* in the memory that goes now */
    }
    state_unmap(s);
}

static bool fill(struct ring_window *w, enum ring_id ring, uint64_t first, uint64_t n) {
    const struct state_section *part = &w->file[ring == RING_INCIDENTS ? SECTION_INCIDENTS : SECTION_CLOSES];
    w->ring[ring].gone =
        w->ring[ring].gone || !read_all(w->fd, w->ring[ring].cell, n * CELL_BYTES, part->offset + first * CELL_BYTES);
    w->ring[ring].first = first;
    w->ring[ring].n = w->ring[ring].gone ? 0 : n;
    return !w->ring[ring].gone;
}

const struct cell *window_cell(const struct state *s, enum ring_id ring, uint64_t n) {
    struct ring_window *w = s->window;
    uint64_t at = n % s->cells[ring], first = at - at % WINDOW_CELLS, more = s->cells[ring] - first;
    bool there = at - w->ring[ring].first < w->ring[ring].n;
    if (!there && !fill(w, ring, first, more < WINDOW_CELLS ? more : WINDOW_CELLS))
        return NULL;
    return &w->ring[ring].cell[at - w->ring[ring].first];
}
