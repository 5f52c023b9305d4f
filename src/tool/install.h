/* install.h - the command install. */
#ifndef CONNSPREAD_TOOL_INSTALL_H
#define CONNSPREAD_TOOL_INSTALL_H

int install_main(int argc, char **argv);

#endif
