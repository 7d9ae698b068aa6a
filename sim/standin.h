// Whether src/crypto has been replaced by sim/standin in this program.
#ifndef SIM_STANDIN_H
#define SIM_STANDIN_H

#include <stdbool.h>

extern const bool sim_crypto_is_standin;

#endif
