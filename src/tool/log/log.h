/* log.h - the command `connspread log`. */
#ifndef CONNSPREAD_TOOL_LOG_LOG_H
#define CONNSPREAD_TOOL_LOG_LOG_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int log_main(int argc, char **argv);

#endif
