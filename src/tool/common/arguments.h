/* arguments.h - what the command lines of the commands have in common: reading options by getopt_long, -h, --wide, and
 * -c and -i of those that work on an instance. */
#ifndef CONNSPREAD_TOOL_COMMON_ARGUMENTS_H
#define CONNSPREAD_TOOL_COMMON_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>

#include "policy/policy.h"
#include "tool/common/locate.h"

/* --wide, of commands whose text fits a terminal: it shall not. By its long name alone. */
enum { OPTION_WIDE = 'W' };

struct command_line {
    const char *command; /* its name, for messages */
    const char *help;
    const char *letters;          /* as getopt_long wants them */
    const struct option *options; /* likewise */
    /* Takes an option that is none of -c, -i, -h and --wide (optarg: its argument). False: it has said what is wrong.
     * NULL: there is none. */
    bool (*take)(int option, void *context);
};

struct chosen {
    const char *config, *instance; /* -c, -i, or NULL */
};

/* Reads the options; optind is then the first argument. ARGUMENTS_GOOD, or the exit status of the command: its help has
 * been printed, or what is wrong has been said. */
enum { ARGUMENTS_GOOD = -1 };
int arguments_read(const struct command_line *line, int argc, char **argv, struct chosen *out, void *context);

/* text or json. False: it is neither, which has been said. */
bool arguments_format(const char *command, const char *text, bool *json);

/* A time, for --since and --until; a duration. False: it is none, which has been said. */
bool arguments_time(const char *command, const char *option, const char *text, uint64_t *out_us);
bool arguments_duration(const char *command, const char *option, const char *text, uint32_t *out_ms);

/* The argument of -w, the interval of a live view: SECONDS, or a duration. NULL: LIVE_EVERY_MS. False: it is none,
 * which has been said. */
bool arguments_every(const char *command, const char *text, uint32_t *out_ms);

/* "*" or ADDRESS[/LEN][:PORT[-PORT]]. False: it is not, which has been said. */
bool arguments_target(const char *command, const char *option, const char *text, struct policy_target *out);

/* A number from low to high. False: it is not, which has been said. */
bool arguments_number(const char *command, const char *option, uint64_t low, uint64_t high, uint64_t *out);

/* locate() for what was chosen. False: it has been said why not. */
bool arguments_locate(const struct chosen *c, struct location *out);

#endif
