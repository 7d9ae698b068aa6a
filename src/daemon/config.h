// The configuration (INTERFACES, "Configuration"): an INI file, laid over the defaults, with --set SECTION.KEY=VALUE on
// top. Reading is all or nothing: every mistake is collected with its file and line, and if there is one nothing is
// handed out. No file at all is a working node. Secrets that the file names (psk-file, secret-file) are read along with
// it. A struct config is owned by the caller, holds no locks, and is compared section by section to apply a changed
// file.
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"

#define CONFIG_DEFAULT_PATH "/etc/byway/byway.conf"
#define CONFIG_NAME 64   // a node's or peer's name, with its NUL
#define CONFIG_IFNAME 16 // IFNAMSIZ
#define CONFIG_PATH 512
#define CONFIG_HOST 256
#define CONFIG_INTERFACES 32
#define CONFIG_PREFIXES 64
#define CONFIG_EXPORTS 32 // what a signed export record holds
#define CONFIG_RULES 64
#define CONFIG_PROBES 8
#define CONFIG_EXITS 16 // in [internet] prefer and never
#define CONFIG_PEERS 1024

// HOST:PORT where HOST is an address or a name. For an address, `addr` is filled in and no look-up is needed.
struct config_endpoint {
    char host[CONFIG_HOST]; // as written, without brackets; "" if there is none. "fe80::1%eth0" keeps its scope here
    uint16_t port;          // 0: none given (only a probe may leave it out)
    bool literal;           // host is an address: `addr` holds it
    struct bw_addr addr;
};

enum config_discover_mode { CONFIG_DISCOVER_AUTO, CONFIG_DISCOVER_LIST, CONFIG_DISCOVER_NONE };
enum config_policy { CONFIG_POLICY_OPEN, CONFIG_POLICY_SECRET, CONFIG_POLICY_CLOSED };
enum config_share { CONFIG_SHARE_NO, CONFIG_SHARE_AUTO, CONFIG_SHARE_INTERFACE };
enum config_use { CONFIG_USE_AUTO, CONFIG_USE_ALWAYS, CONFIG_USE_NONE, CONFIG_USE_ADDRESS };
enum config_probe_mode { CONFIG_PROBE_AUTO, CONFIG_PROBE_NONE, CONFIG_PROBE_LIST };

// One entry of [firewall] allow. ICMP stands for ICMPv6 as well.
enum config_allow { CONFIG_ALLOW_ALL, CONFIG_ALLOW_ICMP, CONFIG_ALLOW_TCP, CONFIG_ALLOW_UDP };
struct config_rule {
    enum config_allow what;
    uint16_t from, to; // ports, both included; 1..65535 for a bare "tcp" or "udp"; 0 for icmp and all
};

// One entry of [routing] import: believe what lies inside the prefix, or with a leading "!" never.
struct config_import {
    struct bw_prefix prefix;
    bool deny;
};

struct config_node {
    char name[CONFIG_NAME]; // the host's name (letters, digits, hyphens of it) unless the file says otherwise
};
struct config_listen {
    uint16_t port;
    bool is_public;
};
struct config_discover {
    enum config_discover_mode mode;
    char interfaces[CONFIG_INTERFACES][CONFIG_IFNAME];
    uint32_t count;
    enum config_policy policy;
    char secret_file[CONFIG_PATH]; // "" if none; a relative path is taken from the configuration's folder
    bool has_secret;
    uint8_t secret[32]; // the file's base64 key as it is, or BLAKE2s of any other text: goes into links as their PSK
};
struct config_tun {
    char interface[CONFIG_IFNAME];
    uint16_t mtu; // 0: auto
};
struct config_internet {
    enum config_share share;
    char share_interface[CONFIG_IFNAME];
    enum config_use use;
    struct bw_addr use_address;
    bool killswitch;
    enum config_probe_mode probe;
    struct config_endpoint probes[CONFIG_PROBES];
    uint32_t probe_count;
    bool dns;                              // auto
    struct bw_addr prefer[CONFIG_EXITS], never[CONFIG_EXITS]; // mesh addresses of exits
    uint32_t prefer_count, never_count;
    uint64_t limit_down_bps, limit_up_bps; // bit/s; 0: none; all clients together
    uint64_t limit_client_down_bps, limit_client_up_bps;
    uint64_t floor_down_bps, floor_up_bps; // for the owner
    uint64_t volume, volume_client;        // bytes a month, both directions; 0: none
    uint32_t connections, connections_client; // at a time; 0: any number
    struct config_rule block[CONFIG_RULES];   // ports that clients may not reach; CONFIG_ALLOW_ALL: TCP and UDP
    uint32_t block_count;
    uint32_t log_leases_days;              // 0: none
};
struct config_lan { // router mode
    char interfaces[CONFIG_INTERFACES][CONFIG_IFNAME];
    uint32_t count; // 0: none
};
struct config_firewall {
    struct config_rule rules[CONFIG_RULES];
    uint32_t count;
};
struct config_routing {
    struct bw_prefix exports[CONFIG_EXPORTS];
    uint32_t export_count;
    struct config_import imports[CONFIG_PREFIXES];
    uint32_t import_count;
    bool transit;
};
struct config_api {
    bool none;                 // unix socket only
    struct bw_endpoint listen; // else this address
};
struct config_log {
    enum bw_level level;
};
struct config_peer { // [peer NAME]
    char name[CONFIG_NAME];
    int line; // of its section, for messages; not compared
    uint8_t key[32];
    bool has_endpoint;
    struct config_endpoint endpoint;
    char psk_file[CONFIG_PATH];
    bool has_psk;
    uint8_t psk[32];
    bool internet;
};

struct config {
    char path[CONFIG_PATH]; // the file that was read or would be written by --save; never ""
    bool from_file;         // false: it did not exist, defaults apply
    struct config_node node;
    struct config_listen listen;
    struct config_discover discover;
    struct config_tun tun;
    struct config_internet internet;
    struct config_lan lan;
    struct config_firewall firewall;
    struct config_routing routing;
    struct config_api api;
    struct config_log log;
    struct config_peer *peers; // in the order of the file
    size_t peer_count;
};

// ---- mistakes ----
struct config_mistake {
    int line;       // 0: not in the file
    char where[96]; // "--set listen.port" for overrides, else ""
    char text[480]; // what is wrong (what to do)
};
struct config_report {
    char path[CONFIG_PATH];
    struct config_mistake *v; // in the order of the file, overrides last
    size_t count;
};
void config_report_free(struct config_report *r);
// The i-th mistake, "FILE:LINE: text" or "--set x.y: text", without a line end; returns its length.
#define CONFIG_MISTAKE_TEXT (CONFIG_PATH + 600)
size_t config_mistake_text(const struct config_report *r, size_t i, char out[CONFIG_MISTAKE_TEXT]);
// One line per mistake. If size is too small for all: as many whole lines as fit, and one that tells how many more.
void config_report_text(const struct config_report *r, char *out, size_t size);
void config_report_print(const struct config_report *r, FILE *to);

// ---- reading ----
void config_defaults(struct config *c);
// path NULL: the default path, which may be missing; a path that is given must exist. sets: "SECTION.KEY=VALUE" each.
// 0: *out is complete (release with config_free). BW_ERR_MALFORMED: *out is untouched and *rep says everything that is
// wrong. *rep is always initialised: release it with config_report_free.
int config_load(const char *path, char *const *sets, size_t set_count, struct config *out,
                struct config_report *rep) BW_NODISCARD;
// The same on text in memory; `path` only names it in messages. No secret file is read: has_psk and has_secret stay
// false.
int config_parse(const char *text, size_t n, const char *path, char *const *sets, size_t set_count, struct config *out,
                 struct config_report *rep) BW_NODISCARD;
void config_free(struct config *c); // wipes secrets

// ---- values, for the command line and the API. BW_ERR_MALFORMED, or BW_ERR_RANGE for a port that is none. ----
// "host:5", "1.2.3.4:5", "[2001:db8::1]:5", "[fe80::1%eth0]:5"; the port is needed.
int config_endpoint_parse(const char *s, struct config_endpoint *out) BW_NODISCARD;
int config_psk_read(const char *path, uint8_t psk[32], char *why,
                    size_t why_size) BW_NODISCARD; // base64 key in a private file

// ---- comparing, for reload ----
enum config_section {
    CONFIG_NODE = 1, CONFIG_LISTEN = 2, CONFIG_DISCOVER = 4, CONFIG_TUN = 8, CONFIG_INTERNET = 16, CONFIG_FIREWALL = 32,
    CONFIG_ROUTING = 64, CONFIG_API = 128, CONFIG_LOG = 256, CONFIG_PEER = 512, CONFIG_LAN = 1024
};
unsigned config_diff(const struct config *a,
                     const struct config *b); // sections that differ in meaning, or'ed; 0: equal
bool config_probe_equal(const struct config_internet *a, const struct config_internet *b);
bool config_lan_equal(const struct config_lan *a, const struct config_lan *b);
bool config_peer_equal(const struct config_peer *a, const struct config_peer *b);
const struct config_peer *config_peer_find(const struct config *c, const uint8_t key[32]); // NULL: not there

// ---- what exists, for help, man page and tests ----
// The i-th key as "section", "key" (peer for [peer NAME]); false past the last.
bool config_key_at(size_t i, const char **section, const char **key);

// ---- writing, for --save ----
// Appends [peer NAME], or replaces the section that has this key, keeping the rest of the file byte for byte; the file
// is made if it is missing (0600), and so is its folder; it is swapped in whole. NULL name: the old section's, or one made from the key. NULL
// endpoint or psk_file: the line is left out. Fails without a trace: BW_ERR_SYS (errno), BW_ERR_RANGE (a value that
// cannot stand in the file), BW_ERR_EXISTS (another peer has the name).
int config_save_peer(const char *path, const char *name, const uint8_t key[32], const char *endpoint,
                     const char *psk_file, bool internet) BW_NODISCARD;
// Puts the network's secret into "network.secret" beside the file (0600), and `policy = secret` with its name into [discover].
int config_save_secret(const char *path, const uint8_t secret[32]) BW_NODISCARD; // BW_ERR_SYS (errno), BW_ERR_RANGE
int config_save_remove_peer(const char *path,
                            const uint8_t key[32]) BW_NODISCARD; // BW_ERR_NOTFOUND: no section has the key

#endif
