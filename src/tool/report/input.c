#include "tool/report/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/reaper/preview.h"
#include "tool/common/locate.h"
#include "tool/common/text_file.h"

enum { READ_AHEAD = 1 << 16 };

/* What a name is: given on the command line; an instance's state file; what the policy in there names. */
enum role { FILE_NAMED, INSTANCE, LOG_FILE };

/* --- one input --- */

static bool open_state(struct report_input *in, bool instance) {
    int error = 0;
    enum state_error result = source_open(&in->source, in->name, &error);
    if (result != STATE_OK) {
        warn("%s: %s", in->name, state_error_text(result, error));
        return false;
    }
    in->is_state = true;
    in->merge = malloc(sizeof *in->merge);
    if (!in->merge) {
        source_close(&in->source);
        return false;
    }
    if (instance && source_is_ours(&in->source))
        preview_find(&in->preview, &in->source.state); /* what a dead process had open belongs to the story */
    merge_init(in->merge, &in->source.state, false);
    merge_append(in->merge, in->preview.event, in->preview.n);
    return true;
}

static bool open_lines(struct report_input *in, bool found) {
    struct stat s;
    if (!(found ? jsonl_open_regular(&in->jsonl, in->name) : jsonl_open(&in->jsonl, in->name))) {
        warn("%s: %s", in->name, errno == EINVAL ? "is no regular file: not read" : strerror(errno));
        return false;
    }
    if (strcmp(in->name, "-") != 0 && fstat(fileno(in->jsonl.file), &s) == 0 && S_ISREG(s.st_mode))
        in->size = (uint64_t)s.st_size;
    return true;
}

/* Looks into regular files only: what is read from a pipe is gone. */
static bool is_state_file(const char *name) {
    char magic[sizeof STATE_MAGIC - 1] = "";
    struct stat s;
    bool regular = strcmp(name, "-") != 0 && stat(name, &s) == 0 && S_ISREG(s.st_mode);
    int fd = regular ? file_regular(name) : -1;
    bool is =
        fd >= 0 && pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, STATE_MAGIC, sizeof magic) == 0;
    if (fd >= 0)
        (void)close(fd);
    return is;
}

static bool ends_in_state(const char *name) {
    size_t length = strlen(name);
    return length > 6 && strcmp(name + length - 6, ".state") == 0;
}

static void open_one(struct report_input *in, const char *name, enum role role) {
    bool found = role == LOG_FILE;
    in->name = name;
    bool state = !found && (is_state_file(name) || ends_in_state(name));
    in->ended = !(state ? open_state(in, role == INSTANCE) : open_lines(in, found));
    in->failed = in->ended && !found;
}

static bool next_record(struct report_input *in) {
    if (!merge_next(in->merge, &in->ahead))
        return false;
    source_name(&in->source, &in->ahead.e);
    in->context = in->source.context;
    return true;
}

static bool next_line(struct report_input *in) {
    for (;;) {
        const char *wrong = "longer than any event";
        enum jsonl_result result = jsonl_next(&in->jsonl);
        if (result == JSONL_ERROR) {
            warn("%s:%llu: %s", in->name, (unsigned long long)in->jsonl.number + 1, strerror(errno));
            in->failed = true;
        }
        if (result == JSONL_ERROR || result == JSONL_END)
            return false;
        if (result == JSONL_LINE)
            wrong = jsonl_parse(in->jsonl.line, in->jsonl.length, &in->ahead, &in->context);
        if (!wrong)
            return true;
        damage_note(&in->damage, in->jsonl.number, wrong);
    }
}

static bool advance(struct report_input *in) {
    in->ended = in->ended || !(in->is_state ? next_record(in) : next_line(in));
    in->events += !in->ended;
    return !in->ended;
}

/* --- all of them --- */

static bool earlier(const struct report_inputs *in, unsigned a, unsigned b) {
    const struct report_input *left = &in->input[in->heap[a]], *right = &in->input[in->heap[b]];
    if (left->ahead.e.time_us != right->ahead.e.time_us)
        return left->ahead.e.time_us < right->ahead.e.time_us;
    return left->context.epoch == right->context.epoch && left->ahead.e.seq < right->ahead.e.seq;
}

static void sift_down(struct report_inputs *in, unsigned at) {
    for (;;) {
        unsigned least = at;
        for (unsigned child = 2 * at + 1; child <= 2 * at + 2 && child < in->n_heap; child++)
            if (earlier(in, child, least))
                least = child;
        if (least == at)
            return;
        unsigned swap = in->heap[at];
        in->heap[at] = in->heap[least];
        in->heap[least] = swap;
        at = least;
    }
}

bool inputs_open(struct report_inputs *in, char *const *names, unsigned n, bool instance) {
    memset(in, 0, sizeof *in);
    in->input = calloc(n + 1, sizeof *in->input);
    in->heap = calloc(n + 1, sizeof *in->heap);
    if (!in->input || !in->heap)
        return false;
    for (in->n = 0; in->n < n; in->n++) {
        struct report_input *one = &in->input[in->n];
        open_one(one, names[in->n], !instance ? FILE_NAMED : in->n == 0 ? INSTANCE : LOG_FILE);
        in->size += one->size;
        if (!one->ended && advance(one))
            in->heap[in->n_heap++] = in->n;
    }
    for (unsigned i = in->n_heap / 2; i-- > 0;)
        sift_down(in, i);
    return true;
}

/* The same event of two inputs comes at nearly the same moment of the stream, for its time is the same. */
static bool seen_before(struct report_inputs *in, uint64_t epoch, uint64_t seq) {
    uint64_t place = (epoch ^ seq * UINT64_C(0x9e3779b97f4a7c15)) >> 32 ^ seq;
    bool seen = in->recent[place % INPUT_RECENT].epoch == epoch && in->recent[place % INPUT_RECENT].seq == seq;
    in->recent[place % INPUT_RECENT].epoch = epoch;
    in->recent[place % INPUT_RECENT].seq = seq;
    return seen && epoch != 0;
}

bool inputs_next(struct report_inputs *in, const struct event_record **r, const struct event_context **context) {
    for (;;) {
        if (in->events + in->duplicates > 0 && in->n_heap > 0) { /* that of the last call has been used */
            if (!advance(&in->input[in->heap[0]]))
                in->heap[0] = in->heap[--in->n_heap];
            sift_down(in, 0);
        }
        if (in->n_heap == 0)
            return false;
        const struct report_input *first = &in->input[in->heap[0]];
        if (in->n == 1 || !seen_before(in, first->context.epoch, first->ahead.e.seq)) {
            in->events++;
            *r = &first->ahead;
            *context = &first->context;
            return true;
        }
        in->duplicates++;
    }
}

uint64_t inputs_position(const struct report_inputs *in) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < in->n; i++) {
        const struct report_input *one = &in->input[i];
        off_t at = one->size && one->jsonl.file ? ftello(one->jsonl.file) : 0;
        sum += at > 0 ? (uint64_t)at : 0;
    }
    return sum;
}

static bool holds_no_event(const struct report_input *in) {
    return in->damage.count && in->events == 0 && !in->failed;
}

bool input_incomplete(const struct report_input *in) {
    return in->failed || holds_no_event(in);
}

bool inputs_judge(const struct report_inputs *in) {
    bool good = true;
    for (unsigned i = 0; i < in->n; i++) {
        const struct report_input *one = &in->input[i];
        damage_warn(&one->damage, one->name);
        if (holds_no_event(one))
            warn("%s:%llu: %s: nothing in it is an event as `connspread log -o json` prints them", one->name,
                 (unsigned long long)one->damage.line[0], one->damage.first_reason);
        good = good && !input_incomplete(one);
    }
    return good;
}

void inputs_close(struct report_inputs *in) {
    for (unsigned i = 0; i < in->n && in->input; i++) {
        struct report_input *one = &in->input[i];
        if (one->is_state && !one->failed)
            source_close(&one->source);
        jsonl_close(&one->jsonl);
        preview_free(&one->preview);
        free(one->merge);
    }
    free(in->input);
    free(in->heap);
}
