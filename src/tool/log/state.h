/* state.h - Events from a state file, once or followed. */
#ifndef CONNSPREAD_TOOL_LOG_STATE_H
#define CONNSPREAD_TOOL_LOG_STATE_H

#include "tool/log/model.h"
#include "tool/common/locate.h"

struct location;

/* Each prints all that the request wants, says on stderr what could not be read, and returns the exit status. */
int log_from_state(struct log_request *request, const struct location *where);

#endif
