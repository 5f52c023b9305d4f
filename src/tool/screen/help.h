/* help.h - the help texts of the commands. They are written for 110 columns; a narrower terminal has them filled anew.
 */
#ifndef CONNSPREAD_TOOL_SCREEN_HELP_H
#define CONNSPREAD_TOOL_SCREEN_HELP_H

#include "tool/screen/screen.h"

void help_print(const struct screen *s, const char *text);

#endif
