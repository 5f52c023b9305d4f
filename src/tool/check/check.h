/* check.h - the command `connspread check`. */
#ifndef CONNSPREAD_TOOL_CHECK_CHECK_H
#define CONNSPREAD_TOOL_CHECK_CHECK_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int check_main(int argc, char **argv);

#endif
