// What a neighbour tells of itself on request (GET /v1/peer-info over the mesh): JSON, of which only the name is used.
#ifndef WIRE_PEERINFO_H
#define WIRE_PEERINFO_H

#include <stddef.h>

#include "base/err.h"

#define PEERINFO_NAME 64   // letters, digits, hyphen, and the NUL
#define PEERINFO_MAX 4096  // longest body that is looked at

// BW_ERR_MALFORMED: not such an object, or a name that is none (names are shown to people and go into events).
int peerinfo_decode(const char *body, size_t n, char name[PEERINFO_NAME]) BW_NODISCARD;

#endif
