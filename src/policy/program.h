/* program.h - the names under which a rule's "program" knows a process.
 *
 * Up to three, each without its folders and cut to POLICY_PROGRAM: argv[0] as program_invocation_short_name has it, the
 * file that was executed, and of an interpreter the script that it runs. They stand in one text with '/' between them,
 * which no name and no glob contains; so one name alone is such a text as well. Pure; async-signal-safe. */
#ifndef CONNSPREAD_POLICY_PROGRAM_H
#define CONNSPREAD_POLICY_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum {
    POLICY_PROGRAM = 32, /* bytes of a name, and of a glob, with its NUL */
    PROGRAM_NAMES = 3,
    PROGRAM_NAMES_TEXT = PROGRAM_NAMES * POLICY_PROGRAM
};

/* program: the first name. executed: a path, or NULL. arguments: length bytes of /proc/PID/cmdline. */
void program_names(char out[PROGRAM_NAMES_TEXT], const char *program, const char *executed, const char *arguments,
                   size_t length);

/* Copies the next name from *names, and moves *names behind it. False: there is none left. */
bool program_next(const char **names, char out[POLICY_PROGRAM]);

/* The script (or the module, the jar, the class) that an interpreter of this name was started with: a place in
 * arguments, NUL-terminated there. NULL: it is no interpreter, or runs none. */
const char *program_script(const char *interpreter, const char *arguments, size_t length);

#endif
