#include "shim/self.h"

struct client client = {.env_mode = MODE_FROM_POLICY};
