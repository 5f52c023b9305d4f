/* actor.h - who gives the order: for the events that say who changed what clients do. */
#ifndef CONNSPREAD_TOOL_COMMON_ACTOR_H
#define CONNSPREAD_TOOL_COMMON_ACTOR_H

enum { ACTOR_TEXT = 144 };

/* "uid 1000 (alice), /dev/pts/3, from bash[1234]"; what cannot be found out is left out. */
void actor_name(char out[ACTOR_TEXT]);

#endif
