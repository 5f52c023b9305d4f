/* Mapping a state file and not believing a word of it. */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "state/layout_abi_private.h"
#include "state/folder.h"
#include "state/segment.h"
#include "base/sys.h"
#include "base/text.h"

static const uint64_t fixed_size[SECTIONS] = {
    [SECTION_POLICY] = 2 * sizeof(struct policy),
    [SECTION_NAMES] = (uint64_t)NAMES * POLICY_TITLE,
    [SECTION_COUNTERS] = (uint64_t)ARMS * COUNTERS * sizeof(uint64_t),
    [SECTION_NEXT_SOURCES] = (uint64_t)POLICY_POOLS * SCOPE_COUNT * sizeof(uint32_t),
    [SECTION_PAIRS] = sizeof(struct pair_table),
    [SECTION_STATS] = STATS * sizeof(struct stat_entry),
    [SECTION_PLACES] = PLACES * sizeof(struct place),
    [SECTION_OPEN_TABLE] = sizeof(struct open_table),
    [SECTION_DEDUP] = DEDUP_WORDS * sizeof(uint64_t),
    [SECTION_HISTORY] = HISTORY_MINUTES * sizeof(struct history_minute),
};

void sections_plan(struct state_header *header, uint64_t log_size) {
    if (log_size < LOG_SIZE_MIN)
        log_size = LOG_SIZE_MIN;
    if (log_size > LOG_SIZE_MAX)
        log_size = LOG_SIZE_MAX;
    uint64_t offset = 4096;
    for (unsigned i = 0; i < SECTIONS; i++) {
        uint64_t size = fixed_size[i];
        if (i == SECTION_INCIDENTS)
            size = log_size / 8;
        else if (i == SECTION_CLOSES)
            size = log_size - log_size / 8;
        size = size / CELL_BYTES * CELL_BYTES + (size % CELL_BYTES ? CELL_BYTES : 0);
        header->section[i].offset = offset;
        header->section[i].size = size;
        offset += (size + 4095) / 4096 * 4096;
    }
    header->size = (offset + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

void header_fill(struct state_header *header, const char *instance, uint64_t log_size) {
    struct new_utsname {
        char field[6][65]; /* the kernel's: sysname, nodename, ... (uname(2)) */
    } uts = {0};
    memcpy(header->magic, STATE_MAGIC, sizeof header->magic);
    header->layout = STATE_LAYOUT;
    header->uid = sys_geteuid();
    header->created_ns = clock_ns(CLOCK_REALTIME);
    if (sys_call3(SYS_getrandom, &header->epoch, sizeof header->epoch, 0) != sizeof header->epoch)
        header->epoch = header->created_ns ^ ((uint64_t)sys_call0(SYS_getpid) << 40);
    for (size_t i = 0; i + 1 < sizeof header->instance && instance[i]; i++)
        header->instance[i] = instance[i];
    if (sys_call1(SYS_uname, &uts) == 0)
        memcpy(header->host, uts.field[1], sizeof header->host - 1);
    sections_plan(header, log_size);
}

bool sections_take(struct state_section out[SECTIONS], const struct state_header *header, uint64_t size) {
    for (unsigned i = 0; i < SECTIONS; i++) {
        uint64_t offset = __atomic_load_n(&header->section[i].offset, __ATOMIC_RELAXED);
        uint64_t length = __atomic_load_n(&header->section[i].size, __ATOMIC_RELAXED);
        bool ring = i == SECTION_INCIDENTS || i == SECTION_CLOSES;
        if (offset % 64 != 0 || offset < sizeof *header || offset > size || length > size - offset)
            return false;
        if (ring ? length < 16 * CELL_BYTES || length % CELL_BYTES != 0 : length < fixed_size[i])
            return false;
        out[i] = (struct state_section){offset, ring ? length : fixed_size[i]};
    }
    return true;
}

bool sections_bind(struct state *out, void *mapping, size_t size) {
    unsigned char *base = mapping;
    struct state_header *header = mapping;
    struct state_section section[SECTIONS];
    if (!sections_take(section, header, size))
        return false;
    *out = (struct state){
        .header = header,
        .policy = (void *)(base + section[SECTION_POLICY].offset),
        .name = (void *)(base + section[SECTION_NAMES].offset),
        .counter = (void *)(base + section[SECTION_COUNTERS].offset),
        .next_source = (void *)(base + section[SECTION_NEXT_SOURCES].offset),
        .pairs = (void *)(base + section[SECTION_PAIRS].offset),
        .stat = (void *)(base + section[SECTION_STATS].offset),
        .place = (void *)(base + section[SECTION_PLACES].offset),
        .open_table = (void *)(base + section[SECTION_OPEN_TABLE].offset),
        .dedup = (void *)(base + section[SECTION_DEDUP].offset),
        .history = (void *)(base + section[SECTION_HISTORY].offset),
        .ring = {[RING_INCIDENTS] = (void *)(base + section[SECTION_INCIDENTS].offset),
                 [RING_CLOSES] = (void *)(base + section[SECTION_CLOSES].offset)},
        .cells = {[RING_INCIDENTS] = section[SECTION_INCIDENTS].size / CELL_BYTES,
                  [RING_CLOSES] = section[SECTION_CLOSES].size / CELL_BYTES},
        .epoch = header->epoch,
        .size = size,
    };
    return true;
}

static bool is_name(const char *name, size_t length) {
    bool slash = false;
    for (size_t i = 0; i < length; i++)
        slash |= name[i] == '/';
    return length > 0 && length < STATE_INSTANCE && name[0] != '.' && !slash;
}

/* The config file's name without folder and suffix; a dot at its start begins no suffix. */
static const char *stem_of(const char *config, size_t *length) {
    const char *slash = strrchr(config, '/'), *name = slash ? slash + 1 : config;
    const char *dot = strrchr(name, '.');
    *length = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    return name;
}

bool state_instance(char out[STATE_INSTANCE], const char *given, const char *config) {
    const char *name = given ? given : "default";
    size_t length = strlen(name);
    if (!given && config)
        name = stem_of(config, &length);
    out[0] = 0;
    if (!is_name(name, length))
        return false;
    memcpy(out, name, length);
    out[length] = 0;
    return true;
}

bool state_path(char out[STATE_PATH], const char *dir, const char *runtime_dir, const char *instance) {
    uint32_t uid = sys_geteuid();
    size_t at = 0;
    if (!is_name(instance, strlen(instance)))
        return false;
    if (dir && dir[0]) {
        text_add(out, STATE_PATH, &at, dir);
    } else if (uid == 0) {
        text_add(out, STATE_PATH, &at, "/run/connspread");
    } else if (runtime_dir && runtime_dir[0] == '/') {
        text_add(out, STATE_PATH, &at, runtime_dir);
        text_add(out, STATE_PATH, &at, "/connspread");
    } else {
        text_add(out, STATE_PATH, &at, "/dev/shm/connspread-");
        text_add_number(out, STATE_PATH, &at, uid);
    }
    text_add(out, STATE_PATH, &at, "/");
    text_add(out, STATE_PATH, &at, instance);
    text_add(out, STATE_PATH, &at, ".state");
    return at < STATE_PATH;
}

enum state_error state_check_file(int fd, bool any_owner, uint64_t *size) {
    sys_stat st;
    if (sys_fstat(fd, &st) != 0)
        return STATE_IO;
    if (!S_ISREG(st.st_mode))
        return STATE_NOT_A_STATE;
    if (!any_owner && st.st_uid != sys_geteuid() && st.st_uid != 0)
        return STATE_NOT_OURS;
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return STATE_NOT_OURS;
    *size = (uint64_t)st.st_size;
    if (*size < sizeof(struct state_header) || *size > 2 * LOG_SIZE_MAX)
        return STATE_NOT_A_STATE;
    return STATE_OK;
}

enum state_error state_check_header(const struct state_header *header, uint64_t size, uint64_t *shared_size) {
    if (memcmp(header->magic, STATE_MAGIC, sizeof header->magic) != 0)
        return STATE_NOT_A_STATE;
    if (header->layout != STATE_LAYOUT)
        return STATE_OTHER_LAYOUT;
    *shared_size = __atomic_load_n(&header->size, __ATOMIC_RELAXED);
    bool fits = *shared_size <= size && *shared_size <= (uint64_t)BLOCKS * BLOCK_BYTES;
    return fits && *shared_size >= sizeof *header ? STATE_OK : STATE_NOT_A_STATE;
}

/* How much of the file every process maps, by its header. */
static enum state_error read_size(int fd, uint64_t size, uint64_t *shared_size, int *error) {
    struct state_header *header = sys_mmap(sizeof *header, PROT_READ, MAP_SHARED, fd);
    if (!header) {
        *error = ENOMEM;
        return STATE_IO;
    }
    enum state_error result = state_check_header(header, size, shared_size);
    (void)sys_call2(SYS_munmap, header, sizeof *header);
    return result;
}

enum state_error state_map_at(struct state *out, int dir, const char *name, int *error) {
    uint64_t size = 0;
    int fd = (int)sys_call4(SYS_openat, dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    *error = fd < 0 ? -fd : 0;
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? STATE_ABSENT : STATE_IO;
    enum state_error result = state_check_file(fd, false, &size);
    void *mapping = NULL;
    uint64_t shared_size = 0;
    if (result == STATE_OK)
        result = read_size(fd, size, &shared_size, error);
    if (result == STATE_OK) {
        mapping = sys_mmap((size_t)shared_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
        if (!mapping) {
            *error = ENOMEM;
            result = STATE_IO;
        }
    }
    (void)sys_call1(SYS_close, fd);
    if (result == STATE_OK && !sections_bind(out, mapping, (size_t)shared_size))
        result = STATE_NOT_A_STATE;
    if (result == STATE_OK) {
        out->writable = true;
        out->segments = segments_begin(out->header, out->size, size);
    } else if (mapping) {
        (void)sys_call2(SYS_munmap, mapping, shared_size);
    }
    return result;
}

enum state_error state_map(struct state *out, const char *path, int *error) {
    char folder[STATE_PATH];
    const char *name = folder_of(folder, path);
    *error = ENAMETOOLONG;
    int dir = name ? folder_open(folder, false, error) : -1;
    if (dir < 0)
        return *error == ENOENT || *error == ENOTDIR ? STATE_ABSENT : *error == EPERM ? STATE_NOT_OURS : STATE_IO;
    enum state_error result = state_map_at(out, dir, name, error);
    (void)sys_call1(SYS_close, dir);
    return result;
}

void state_unmap(struct state *s) {
    segments_end(s->segments);
    if (s->header)
        (void)sys_call2(SYS_munmap, s->header, s->size);
    *s = (struct state){0};
}

bool state_private(struct state *out, const char *instance) {
    struct state_header layout = {0};
    sections_plan(&layout, LOG_SIZE_PRIVATE);
    size_t size = (size_t)layout.size;
    /* Shared so that children of fork go on counting in the same place as with a file. */
    void *mapping = sys_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (!mapping)
        return false;
    header_fill(mapping, instance, LOG_SIZE_PRIVATE);
    blocks_are_there(mapping, BLOCKS);
    if (!sections_bind(out, mapping, size))
        return false;
    out->private_memory = out->writable = true;
    return true;
}
