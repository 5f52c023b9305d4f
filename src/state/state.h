/* state.h - finding, creating and mapping a state file.
 *
 * Used by the shim (in its constructor) and by the tool. Raw system calls, no memory of its own: async-signal-safe,
 * touches no errno. */
#ifndef CONNSPREAD_STATE_STATE_H
#define CONNSPREAD_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/folder.h"
#include "state/layout.h"
#include "policy/policy.h"

struct segments;

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
/* The config where none is named; without it there is the built-in default. */
#define DEFAULT_CONF SYSCONFDIR "/connspread.conf"

enum { STATE_INSTANCE = 64, LOG_SIZE_MIN = 64 << 10, LOG_SIZE_PRIVATE = 64 << 10 };
#define LOG_SIZE_MAX ((uint64_t)1 << 30)

/* A mapped state file. The pointers and counts were checked against the mapping's size when it was mapped and are never
 * read from the file again. */
struct state {
    struct state_header *header;
    struct policy *policy;                /* [2] */
    char (*name)[POLICY_TITLE];           /* [NAMES] */
    uint64_t (*counter)[COUNTERS];        /* [ARMS] */
    uint32_t (*next_source)[SCOPE_COUNT]; /* [POLICY_POOLS] */
    struct pair_table *pairs;             /* see pair_table.h for the others */
    struct stat_entry *stat;              /* [STATS] */
    struct place *place;                  /* [PLACES] */
    struct open_table *open_table;        /* its chunks: see open_chunk.h */
    struct segments *segments;            /* where those of the file are mapped (segment.h); NULL: it has none */
    uint64_t *dedup;                      /* [DEDUP_WORDS] */
    struct history_minute *history;       /* [HISTORY_MINUTES] */
    struct cell *ring[RINGS];
    uint64_t cells[RINGS];
    uint64_t epoch;
    size_t size;
    bool private_memory; /* no file behind it: counts and spreads, but no tool can read it */
    bool writable;
    struct ring_window *window; /* a copy's (copy.h): its rings are read from the file, piece by piece; NULL: mapped */
};

/* Why a state file was not taken. STATE_OK is 0. */
enum state_error {
    STATE_OK,
    STATE_ABSENT,      /* no such file */
    STATE_IO,          /* a system call failed: *error has the errno */
    STATE_NOT_OURS,    /* owner is neither the effective uid nor root, or others may write */
    STATE_NOT_A_STATE, /* wrong magic or impossible sizes */
    STATE_OTHER_LAYOUT /* of another version of connspread */
};

/* An instance's name, the same for clients and for the tool: given; NULL: the name of the config file without folder
 * and suffix; both NULL: "default". False, and out is empty: it is not of 1 to STATE_INSTANCE - 1 bytes, or has a '/'
 * or a leading '.'. Nothing is ever cut: two long names could become one. */
bool state_instance(char out[STATE_INSTANCE], const char *given, const char *config);

/* DIR/INSTANCE.state. dir NULL: CONNSPREAD_DIR's default for this effective uid (connspread(1), ENVIRONMENT);
 * runtime_dir is $XDG_RUNTIME_DIR or NULL. Returns false when it does not fit or instance is no such name as above. */
bool state_path(char out[STATE_PATH], const char *dir, const char *runtime_dir, const char *instance);

/* Maps an existing file, to read and to write, if it and its folder belong to the effective uid or root and no one else
 * may write to them. Never creates, never follows a symbolic link; no descriptor is left when it returns. */
enum state_error state_map(struct state *out, const char *path, int *error);

/* The same for name in a folder that folder_open has opened. */
enum state_error state_map_at(struct state *out, int dir, const char *name, int *error);

/* The same on anonymous memory, when there can be no file. Small rings. False when there is no memory either. */
bool state_private(struct state *out, const char *instance);

void state_unmap(struct state *s);

/* --- policy slots --- */

/* What a client needs of the live policy besides a match (state_settings), as it lies in struct policy. */
struct settings {
    uint8_t mode, canary, canary_by, log_closes, log_inbound, log_verify;
    uint16_t zero;
};

/* --- control word: what `connspread set` overrides --- */
struct control {
    bool has_mode, has_canary;
    uint8_t mode, canary;
};

/* Fills header->section[] and header->size for rings of log_size bytes (clamped): 1/8 incidents, 7/8 closes. */
void sections_plan(struct state_header *header, uint64_t log_size);

/* Points *out into a mapping of size bytes after checking every section against it. False: impossible sizes. */
bool sections_bind(struct state *out, void *mapping, size_t size);

/* Fills a fresh, zeroed header. */
void header_fill(struct state_header *header, const char *instance, uint64_t log_size);

/* Fills header->section[] and header->size for rings of log_size bytes (clamped): 1/8 incidents, 7/8 closes. */
void sections_plan(struct state_header *header, uint64_t log_size);

/* Where each section lies in a file of size bytes, read once; the fixed ones with the size that is used of them. False:
 * impossible sizes. */
bool sections_take(struct state_section out[SECTIONS], const struct state_header *header, uint64_t size);

/* Points *out into a mapping of size bytes after checking every section against it. False: impossible sizes. */
bool sections_bind(struct state *out, void *mapping, size_t size);

/* May this file be a state file? any_owner: of any user. *size: of the file. STATE_IO: fstat failed. */
enum state_error state_check_file(int fd, bool any_owner, uint64_t *size);

/* size: of the file. *shared_size: of the part of it that every process maps. */
enum state_error state_check_header(const struct state_header *header, uint64_t size, uint64_t *shared_size);

/* Fills a fresh, zeroed header. */
void header_fill(struct state_header *header, const char *instance, uint64_t log_size);

#endif
