/* The same client, built with -fsanitize=address. */
#include "burst.c"
