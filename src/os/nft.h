// nftables through libnftables, which is loaded when it is first needed (it and what it pulls in cost memory that nodes
// which neither share nor filter need not pay). A thin runner: rule texts are the caller's. Loop thread only.
#ifndef OS_NFT_H
#define OS_NFT_H

#include <stddef.h>

#include "base/err.h"

struct os_nft;

// BW_ERR_UNSUPPORTED: no library, or the kernel has no nftables. BW_ERR_DENIED: no CAP_NET_ADMIN. why says which, and what to do.
int os_nft_open(struct os_nft **out, char *why, size_t n) BW_NODISCARD;
void os_nft_close(struct os_nft *f); // leaves the rules in the kernel

// Commands in nft's language, one transaction: all or nothing. BW_ERR_MALFORMED or BW_ERR_SYS with nft's own words in why.
int os_nft_run(struct os_nft *f, const char *commands, char *why, size_t n) BW_NODISCARD;
// The same, with what it printed (JSON if json), from malloc; the caller frees it.
int os_nft_query(struct os_nft *f, const char *commands, int json, char **out, char *why, size_t n) BW_NODISCARD;
// Removes a table if it is there ("inet byway"). 0 also if it was not.
int os_nft_delete_table(struct os_nft *f, const char *table, char *why, size_t n) BW_NODISCARD;

#endif
