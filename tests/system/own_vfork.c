/* The same program with a vfork of its own, which everybody's calls come to. */
#define OWN_VFORK
#include "sharers.c"
