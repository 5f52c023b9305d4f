/* input.h - events of any number of state files and files of JSON Lines as one stream in order of time.
 *
 * Each input is read as it comes and holds one event ahead; an event that lies in several of them, as in a state file
 * and in the log.file that its recorder wrote, is given out once. */
#ifndef CONNSPREAD_TOOL_REPORT_INPUT_H
#define CONNSPREAD_TOOL_REPORT_INPUT_H

#include "tool/reader/damage.h"
#include "tool/events/format.h"
#include "tool/reader/merge.h"
#include "tool/reaper/reaper_state.h"
#include "tool/events/jsonl.h"
#include "tool/reader/source.h"

enum { INPUT_RECENT = 1 << 15 };

struct report_input {
    const char *name;
    bool is_state, failed, ended;
    struct jsonl jsonl;
    struct source source;
    struct event_merge *merge;
    struct preview preview;
    struct damage damage;
    uint64_t events, size; /* size in bytes, 0: not known */
    struct event_record ahead;
    struct event_context context;
};

struct report_inputs {
    struct report_input *input;
    unsigned n, *heap, n_heap; /* the input whose event is the earliest first */
    uint64_t events, duplicates;
    uint64_t size; /* bytes of all inputs whose size is known */
    struct {
        uint64_t epoch, seq;
    } recent[INPUT_RECENT];
};

/* Opens them all, and writes to none; "-" is stdin. instance: the first is the state file of an instance, and what the
 * dead left there is told (preview.h); the second, if any, is what its policy names: read only if it is a regular file,
 * and passed over without a failure if it is none. What cannot be opened is said on stderr and marked failed. False: no
 * memory. */
bool inputs_open(struct report_inputs *in, char *const *names, unsigned n, bool instance);

/* The next event, valid until the next call; false: no more. */
bool inputs_next(struct report_inputs *in, const struct event_record **r, const struct event_context **context);

/* Bytes read so far. */
uint64_t inputs_position(const struct report_inputs *in);

/* It could not be read, or not to its end, or it has lines and none of them is an event. */
bool input_incomplete(const struct report_input *in);

/* Says on stderr what could not be read. True: no input is incomplete. */
bool inputs_judge(const struct report_inputs *in);

void inputs_close(struct report_inputs *in);

#endif
