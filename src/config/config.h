/* config.h - from a libconfuse file to a flat policy. Linked into the tool; loaded as a module by a plainly preloaded
 * client. */
#ifndef CONNSPREAD_CONFIG_CONFIG_H
#define CONNSPREAD_CONFIG_CONFIG_H

#include <stddef.h>

#endif
