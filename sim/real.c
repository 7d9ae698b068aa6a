#include "sim/standin.h"

// Weak: sim/standin, linked before this library, says true.
__attribute__((weak)) const bool sim_crypto_is_standin = false;
