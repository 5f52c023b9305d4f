/* report.h - the command `connspread report`. */
#ifndef CONNSPREAD_TOOL_REPORT_H
#define CONNSPREAD_TOOL_REPORT_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int report_main(int argc, char **argv);

#endif
