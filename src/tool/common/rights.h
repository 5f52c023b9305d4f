/* rights.h - root's tool writes into a folder of another user only with that user's rights.
 *
 * So whatever that user has put there, a link or another name, leads to nothing that the user could not reach alone,
 * and what is made there is the user's. Root's own choices, the config and its log.file, are reached between
 * rights_back and rights_again. */
#ifndef CONNSPREAD_TOOL_COMMON_RIGHTS_H
#define CONNSPREAD_TOOL_COMMON_RIGHTS_H

#include <stdbool.h>

/* Takes the effective uid and gid of the folder's owner, when we are root, it is there, and not root's. False: that was
 * refused; a message was printed. Nothing may be written there then. */
bool rights_of_folder(const char *folder);

/* Our own, and the owner's again. Without an owner both do nothing. */
void rights_back(void);
void rights_again(void);

#endif
