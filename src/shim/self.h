/* self.h - this process as a client: the one there is, which every wrapper hands on to what it calls. */
#ifndef CONNSPREAD_SHIM_SELF_H
#define CONNSPREAD_SHIM_SELF_H

#include "client/client.h"

extern struct client client;

#endif
