/* quads.h - the command `connspread quads`. */
#ifndef CONNSPREAD_TOOL_QUADS_QUADS_H
#define CONNSPREAD_TOOL_QUADS_QUADS_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int quads_main(int argc, char **argv);

#endif
