/* folder.h - the folder of the state files: opened, checked, and locked by whoever builds a file or publishes a policy.
 */
#ifndef CONNSPREAD_STATE_FOLDER_H
#define CONNSPREAD_STATE_FOLDER_H

#include <stdbool.h>

#endif
