/* disconnect.h - connect(AF_UNSPEC): a close as far as the kernel is concerned, and the socket lives on. */
#ifndef CONNSPREAD_SHIM_DISCONNECT_H
#define CONNSPREAD_SHIM_DISCONNECT_H

#include "connect/call.h"

/* The association is dissolved, and what we prepared with it. Result and errno as of libc. Async-signal-safe. */
ssize_t disconnect(const struct call *call);

#endif
