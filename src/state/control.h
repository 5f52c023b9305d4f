/* control.h - the policy slots, the name table, the control word and the counters of a state file. */
#ifndef CONNSPREAD_STATE_CONTROL_H
#define CONNSPREAD_STATE_CONTROL_H

#include "state/state.h"
#include "policy/policy.h"

/* Makes *p the live policy: interns titles into the name table (writing p's title_id fields), fills the other slot,
 * bumps the generation. Takes the folder's flock through dir_path for at most 100 ms; dir_path NULL (private memory):
 * none. Returns false when it could not. */
bool state_publish(struct state *s, struct policy *p, const char *dir_path);

/* Copies the live policy out (the tool; far too large for a client's stack). False: none published. */
bool state_policy(const struct state *s, struct policy *out);

/* Is the live policy compiled from this very file? */
bool state_policy_is(const struct state *s, const struct policy_origin *origin);

/* A pool of the live policy, or of the one before if that changes now: untrusted, to be read with atomic loads. */
const struct policy_pool *state_pool(const struct state *s, unsigned index);

/* policy_match on the live policy under its generation: 8 tries. False when there is none or it kept changing. */
bool state_match(const struct state *s, const struct endpoint *destination, const char *program, struct match *out);

typedef uint64_t __attribute__((may_alias)) policy_word;
_Static_assert(sizeof(struct settings) == sizeof(policy_word), "read as one word");

/* What a client needs of the live policy besides a match. One word, and so whole, with no second look at the
 * generation: of the live policy, or of the next one, whose slot is being filled. False: there is none. */
static inline bool state_settings(const struct state *s, struct settings *out) {
    uint64_t g = __atomic_load_n(&s->header->generation, __ATOMIC_ACQUIRE);
    const void *mode = &s->policy[g & 1].mode;
    uint64_t word = __atomic_load_n((const policy_word *)mode, __ATOMIC_RELAXED);
    __builtin_memcpy(out, &word, sizeof *out);
    return g != 0;
}

/* policy_client_bind on the live policy; keep where there is none. */
enum rule_client_bind state_client_bind(const struct state *s, const char *program);

/* The title with this number, NUL-terminated and printable; "" for 0 and for what is not there. */
void state_title(const struct state *s, uint16_t id, char out[POLICY_TITLE]);

/* The control word: what `connspread set` overrides. */
struct control control_unpack(uint64_t word);
static inline struct control control_now(const struct state *s) {
    uint64_t word = __atomic_load_n(&s->header->control, __ATOMIC_RELAXED);
    return __builtin_expect(word != 0, 0) ? control_unpack(word) : (struct control){0};
}
uint64_t control_pack(struct control c);

/* What people call the arms. */
extern const char *const arm_word[ARMS];

/* Adds one to a counter of an arm; the sum over all arms. Lock-free. */
void state_count(const struct state *s, enum arm arm, enum counter c);

uint64_t state_counter(const struct state *s, enum counter c);

#endif
