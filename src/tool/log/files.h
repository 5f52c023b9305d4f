/* files.h - Events from JSON Lines: one damaged line costs one event, never the file. */
#ifndef CONNSPREAD_TOOL_LOG_FILES_H
#define CONNSPREAD_TOOL_LOG_FILES_H

#include "tool/log/model.h"

int log_from_files(struct log_request *request, char *const *files, int n_files);

#endif
