/* reap.h - the command `connspread reap`: what the recorder does about the dead, once. */
#ifndef CONNSPREAD_TOOL_REAP_H
#define CONNSPREAD_TOOL_REAP_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int reap_main(int argc, char **argv);

#endif
