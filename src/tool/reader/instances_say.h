/* instances_say.h - Which instances run, and the command that reaches it: for people in a hurry. */
#ifndef CONNSPREAD_TOOL_READER_INSTANCES_SAY_H
#define CONNSPREAD_TOOL_READER_INSTANCES_SAY_H

#include "tool/reader/instances.h"
#include "tool/common/locate.h"

struct location;

/* text as bash takes it, and harmless on a terminal, for the user who started a client chose these names. */
const char *instances_word(char out[INSTANCES_WORD], const char *text);

/* What reaches it: "CONNSPREAD_DIR=DIR connspread COMMAND -i NAME REST", as a shell takes it. */
void instance_say(const struct instance *i, const char *command, const char *rest);

/* Which instances run, for a user whose command named where and reached no process. */
void instances_say_all(const struct instances *all, const struct location *where, const char *command,
                       const char *rest);

/* Says which processes run under the same name and do not follow where->state_file. Only where no folder was named: a
 * user who did means that one, but for clients that got the same folder and could not use it. Returns how many that
 * are. */
unsigned instances_say_others(const struct instances *all, const struct instance *ours, const struct location *where,
                              const char *command, const char *rest);

/* Says why nothing may have been recorded, if there is no state file there or no client ever attached to it. */
void instances_say_silence(const struct location *where, const char *command);

/* For root, when no folder was named: further state files of this instance, as a note. */
void instances_note_files(const struct location *where, const char *command);

#endif
