/* record.h - the command `connspread record`: the recorder in the foreground, as run and service managers start it. */
#ifndef CONNSPREAD_TOOL_RECORD_RECORD_H
#define CONNSPREAD_TOOL_RECORD_RECORD_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int record_main(int argc, char **argv);

#endif
