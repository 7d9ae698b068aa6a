// A look inside a node: what the checkers and the figures need to know of its routing and links.
#ifndef SIM_LOOK_H
#define SIM_LOOK_H

#include "core/babel/babel.h"
#include "sim/world.h"

const struct babel *look_babel(const struct world_node *n); // NULL: not running
bool look_published(const struct world_node *n); // its packet path has been given all that it knows
// The cost that a node gives the neighbour on that wire; BABEL_INFINITY: none, or not usable.
uint16_t look_cost(const struct world_node *n, uint32_t link);
// What a wire is worth by RFC 8966 appendix A and RFC 9616: its loss (both ways) and its delay, as babel_iface_params default.
uint16_t look_true_cost(const struct world_link *l);

#endif
