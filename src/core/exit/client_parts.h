// Between the files of the client: client.c decides, client_lease.c talks HTTP, client_beat.c keeps tunnels alive.
#ifndef CORE_EXIT_CLIENT_PARTS_H
#define CORE_EXIT_CLIENT_PARTS_H

#include "core/exit/client.h"

#define EXITC_BLOCKED_FOR_GOOD_US (60 * BW_S) // an exit that served this long starts with a clean slate

// client.c
void exitc_fail(struct exitc *c, struct exitc_tunnel *t, const char *why, bw_time now); // the tunnel goes, the exit is avoided
void exitc_drop(struct exitc *c, struct exitc_tunnel *t);                               // the tunnel goes
// It fell silent. True: it is waited for with its lease, since there is no other and it may be on its way back.
bool exitc_wait_for(struct exitc *c, struct exitc_tunnel *t, bw_time now);

// client_lease.c
void exitc_ask_lease(struct exitc *c, struct exitc_tunnel *t, struct book_entry *e, bw_time now);
void exitc_release(struct exitc *c, struct exitc_tunnel *t, bw_time now);
void exitc_ask_any(struct exitc *c, bw_time now);
void exitc_ask_offers(struct exitc *c, bw_time now);
void exitc_http_timeouts(struct exitc *c, bw_time now);

void exitc_tell_notice(struct exitc *c, const struct lease *l); // what an exit says of our state there has changed

// client_proof.c
bool exitc_proof_needed(const struct exitc *c, const struct exitc_tunnel *t, bw_time now);
void exitc_prove(struct exitc *c, struct exitc_tunnel *t, bw_time now); // asks when it is time, fails what is silent
void exitc_not_proven(struct exitc *c, const struct exitc_tunnel *t, bw_time now);
bw_time exitc_proof_deadline(const struct exitc *c, const struct exitc_tunnel *t);
bool exitc_is_target(const struct exitc *c, const struct bw_addr *a);
void exitc_proof_answered(struct exitc *c, struct exitc_tunnel *t, uint16_t seq, bw_time now);
void exitc_proof_refused(struct exitc *c, struct exitc_tunnel *t, uint16_t seq, bw_time now);

// client_beat.c
void exitc_beat(struct exitc *c, struct exitc_tunnel *t, bw_time now); // sends what is due, fails what is silent
bw_time exitc_beat_deadline(const struct exitc *c, const struct exitc_tunnel *t);
int exitc_beat_loss(const struct exitc_tunnel *t, bw_time now); // per cent of the latest heartbeats; -1: none yet

#endif
