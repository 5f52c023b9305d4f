/* holders.h - Which ports of the ephemeral range connect() will not take, and which processes keep them.
 *
 * No list says so: sock_diag does not tell an explicit bind from the kernel's own choice. So each port is asked for,
 * with a per-socket range of that one port and a TCP Fast Open connect that needs no cookie: the kernel then chooses
 * the port in connect() and leaves the SYN to the first write, which never comes (tcp(7), TCP_FASTOPEN_CONNECT). No
 * packet is sent, nothing is left behind, and the port is held as long as by any client's connect(). */
#ifndef CONNSPREAD_TOOL_DOCTOR_HOLDERS_H
#define CONNSPREAD_TOOL_DOCTOR_HOLDERS_H

#include "tool/doctor/facts.h"

struct host_facts;

/* Needs f->ports. Asks the kernel about each port of the ephemeral range: some 0.1 s. */
void doctor_find_holders(struct host_facts *f);

#endif
