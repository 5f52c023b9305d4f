/* prune.h - connspread prune: removes state files that no process uses any more, and the recorders' journals beside
 * them. By unlink: truncating one would kill a process that maps it all the same, from where we cannot see. A client
 * that starts in the very moment of the removal works on, unseen. */
#ifndef CONNSPREAD_TOOL_PRUNE_H
#define CONNSPREAD_TOOL_PRUNE_H

int prune_main(int argc, char **argv);

#endif
