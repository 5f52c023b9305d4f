/* report.h - the parts of `connspread report`: events in, facts, findings, and two ways to print them. */
#ifndef CONNSPREAD_CLI_REPORT_H
#define CONNSPREAD_CLI_REPORT_H

#include "cli/report_conclude.h"
#include "cli/report_facts.h"
#include "cli/report_input.h"
#include "cli/sink.h"
#include "net/parse.h"

enum { REPORT_FINDINGS = 32, REPORT_WORDS = 2048, REPORT_BECAUSE = 6 };

/* One incident, understood. */
struct finding {
    const struct incident *incident; /* in the facts */
    const char *host;
    struct evidence evidence;
    struct conclusion conclusion;
    uint64_t failed;                 /* by the events or by the history, whichever knows more */
    char program[EVENT_PROGRAM + 1]; /* whom it hit most */
    char culprit[EVENT_PROGRAM + 1]; /* whose TIME-WAITs took the ports; empty: not known */
    uint64_t culprit_waits;
    char destination[ENDPOINT_TEXT];   /* the one hit most; empty: not known */
    char source[ADDR_TEXT];            /* the local address it is about; empty: none in particular */
    uint64_t carried, carried_last_us; /* connections that this source had carried before */
};

struct report {
    uint64_t since_us, until_us; /* inclusive */
    struct report_inputs inputs;
    struct facts facts;
    uint32_t here_ports; /* ephemeral, not reserved, in the network namespace of whoever asks */
    uint64_t here_netns; /* its cookie */
    char here_host[64];
    struct finding finding[REPORT_FINDINGS]; /* the worst first */
    unsigned n_findings;
};

/* Fills in what this host offers, for events that do not say what theirs did. */
void report_look_here(struct report *r);

/* Ports that a source of this place can use towards one destination. */
uint32_t report_ports(const struct report *r, const struct destination_key *place, enum ports_from *from);

/* From the facts to the findings. */
void report_find(struct report *r);

/* Plain words, NUL-terminated, cut to REPORT_WORDS: what happened; one reason with its numbers, false when there is no
 * such; what to do. */
/* A sentence with blanks into out: $s text that may be hostile, $n a uint64_t as 28,232, $d a double (a rate), $t a
 * uint64_t as 2026-11-21 03:27:59 UTC. */
void words_fill(struct sink *s, const char *sentence, ...);

void words_summary(char out[REPORT_WORDS], const struct finding *f);
bool words_because(char out[REPORT_WORDS], const struct finding *f, unsigned n);
void words_remedy(char out[REPORT_WORDS], const struct finding *f, enum remedy remedy);

void report_print_text(const struct report *r);
/* False: no memory. */
bool report_print_json(const struct report *r);

#endif
