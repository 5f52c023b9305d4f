/* linker.h - what the dynamic linker would load with a program. The program itself is not executed. */
#ifndef CONNSPREAD_TOOL_HOST_LINKER_H
#define CONNSPREAD_TOOL_HOST_LINKER_H

#include <stdbool.h>

/* Calls found with the path of each object that `LINKER --list PROGRAM` names, with this LD_PRELOAD (NULL: none). Only
 * this tool's own linker is asked, never one that the program brings along. False: it could not be asked. */
bool linker_list(const char *program, const char *preload, void (*found)(void *context, const char *path),
                 void *context);

#endif
