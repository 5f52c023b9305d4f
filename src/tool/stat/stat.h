/* stat.h - the command `connspread stat`. */
#ifndef CONNSPREAD_TOOL_STAT_STAT_H
#define CONNSPREAD_TOOL_STAT_STAT_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int stat_main(int argc, char **argv);

#endif
