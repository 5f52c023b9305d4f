/* commands.h - what to type for a remedy. Addresses and ports are the only part of an event that gets into a command: a
 * program's or a pool's name could be one. */
#ifndef CONNSPREAD_TOOL_PAGE_COMMANDS_H
#define CONNSPREAD_TOOL_PAGE_COMMANDS_H

#include "tool/report/model.h"

enum { COMMAND_TEXT = 512 };

/* The command for this remedy, of one line or several; # begins a remark; what stands in capitals is for the reader to
 * fill in. False: there is nothing to type. */
bool commands_for(char out[COMMAND_TEXT], const struct finding *f, enum remedy remedy);

#endif
