// nftables through libnftables. A thin runner: rule texts are the caller's. Loop thread only.
//
// The library is loaded when it is first needed: measured here it costs 2.2 MB of a process' own memory (PSS), which
// nodes that do not share need not pay. It is never unloaded: it gives libgmp allocator functions of its own, and
// others (GnuTLS) use libgmp too.
#ifndef OS_NFT_H
#define OS_NFT_H

#include <stddef.h>

#include "base/err.h"

struct os_nft;

// BW_ERR_UNSUPPORTED: no library, or the kernel has no nftables. BW_ERR_DENIED: no CAP_NET_ADMIN. why says which, and
// what to do.
int os_nft_open(struct os_nft **out, char *why, size_t n) BW_NODISCARD;
void os_nft_close(struct os_nft *f); // leaves the rules in the kernel

// Commands in nft's language, one transaction: all or nothing. BW_ERR_MALFORMED or BW_ERR_SYS with nft's own words in
// why.
int os_nft_run(struct os_nft *f, const char *commands, char *why, size_t n) BW_NODISCARD;
// The same, with what it printed, from malloc; the caller frees it. TERSE: text without the elements of sets.
enum os_nft_form { OS_NFT_TEXT, OS_NFT_JSON, OS_NFT_TERSE };
int os_nft_query(struct os_nft *f, const char *commands, enum os_nft_form form, char **out, char *why,
                 size_t n) BW_NODISCARD;
// Removes a table if it is there ("inet byway"). 0 also if it was not.
int os_nft_delete_table(struct os_nft *f, const char *table, char *why, size_t n) BW_NODISCARD;

#endif
