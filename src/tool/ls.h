/* ls.h - the command `connspread ls`. */
#ifndef CONNSPREAD_TOOL_LS_H
#define CONNSPREAD_TOOL_LS_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int ls_main(int argc, char **argv);

#endif
