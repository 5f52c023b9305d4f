/* state.h - finding, creating and mapping a state file.
 *
 * Used by the shim (in its constructor) and by the tool. Raw system calls, no memory of its own: async-signal-safe,
 * touches no errno. */
#ifndef CONNSPREAD_STATE_STATE_H
#define CONNSPREAD_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/layout.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
/* The config where none is named; without it there is the built-in default. */
#define DEFAULT_CONF SYSCONFDIR "/connspread.conf"

enum { STATE_PATH = 256, STATE_INSTANCE = 64 };

/* A mapped state file. The pointers and counts were checked against the mapping's size when it was mapped and are never
 * read from the file again. */
struct state {
    struct state_header *header;
    struct policy *policy;          /* [2] */
    char (*name)[POLICY_TITLE];     /* [NAMES] */
    uint64_t (*counter)[COUNTERS];  /* [ARMS] */
    uint32_t (*rotor)[SCOPE_COUNT]; /* [POLICY_POOLS] */
    struct pair *pair;              /* [PAIRS] */
    struct stat_entry *stat;        /* [STATS] */
    struct place *place;            /* [PLACES] */
    struct held_table *held;
    uint64_t *told;                 /* [TOLD] */
    struct history_minute *history; /* [HISTORY_MINUTES] */
    struct cell *ring[RINGS];
    uint64_t cells[RINGS];
    uint64_t epoch;
    size_t size;
    bool private_memory; /* no file behind it: counts and spreads, but nobody can read it */
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

/* DIR/INSTANCE.state. dir NULL: CONNSPREAD_DIR's default for this effective uid (connspread(1), ENVIRONMENT);
 * runtime_dir is $XDG_RUNTIME_DIR or NULL. Returns false when it does not fit or instance has a '/' or a leading '.'.
 */
bool state_path(char out[STATE_PATH], const char *dir, const char *runtime_dir, const char *instance);

/* Maps an existing file, to read and to write, if it and its folder belong to the effective uid or root and nobody else
 * may write to them. Never creates, never follows a symbolic link; no descriptor is left when it returns. */
enum state_error state_map(struct state *out, const char *path, int *error);

/* The same for name in a folder that folder_open has opened. */
enum state_error state_map_at(struct state *out, int dir, const char *name, int *error);

/* Maps path, or creates it (mode 0600; its folder 0700 if that is missing too) with rings of log_size bytes. Built
 * under a temporary name with its space allocated, published by link(2). */
enum state_error state_create(struct state *out, const char *path, const char *instance, uint64_t log_size, int *error);

/* The same on anonymous memory, when there can be no file. Small rings. False when there is no memory either. */
bool state_private(struct state *out, const char *instance);

void state_unmap(struct state *s);

/* --- policy slots --- */

/* Makes *p the live policy: interns titles into the name table (writing p's title_id fields), fills the other slot,
 * bumps the generation. Takes the folder's flock through dir_path for at most 100 ms; dir_path NULL (private memory):
 * none. Returns false when it could not. */
bool state_publish(struct state *s, struct policy *p, const char *dir_path);

/* Copies the live policy out (the tool; far too large for a client's stack). False: none published. */
bool state_policy(const struct state *s, struct policy *out);

/* Is the live policy compiled from this very file? */
bool state_policy_is(const struct state *s, const struct policy_origin *origin);

/* policy_match on the live policy under its generation: 8 tries. False when there is none or it kept changing. */
bool state_plan(const struct state *s, const struct endpoint *destination, const char *program, struct plan *out);

/* What a client needs of the live policy besides a plan, read the same way. program NULL: app_bound stays keep. The
 * members up to log_verify lie as they do in struct policy. */
struct settings {
    uint8_t mode, canary, canary_by, log_closes, log_inbound, log_verify, app_bound, zero;
};
bool state_settings(const struct state *s, const char *program, struct settings *out);

/* The title with this number, NUL-terminated and printable; "" for 0 and for what is not there. */
void state_title(const struct state *s, uint16_t id, char out[POLICY_TITLE]);

/* --- control word: what `connspread set` overrides --- */
struct control {
    bool has_mode, has_canary;
    uint8_t mode, canary;
};
struct control control_unpack(uint64_t word);
uint64_t control_pack(struct control c);

/* Adds one to a counter of an arm; the sum over all arms. Lock-free. */
void state_count(const struct state *s, enum arm arm, enum counter c);
uint64_t state_counter(const struct state *s, enum counter c);

#endif
