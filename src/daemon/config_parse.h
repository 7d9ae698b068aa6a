// Inside of configuration reading: what config_read.c (lines and sections), config_keys.c (the table of keys) and
// config_values.c (texts to values) share. Nobody else includes this.
#ifndef DAEMON_CONFIG_PARSE_H
#define DAEMON_CONFIG_PARSE_H

#include "daemon/config.h"

#define WHY 300 // "what is wrong (what to do)" of one value

// ---- config_keys.c ----
struct config_key {
    const char *section; // "peer" for [peer NAME]
    const char *key;
    unsigned bit;        // enum config_section
    bool may_be_empty;
    // 0, or -1 with why. peer is set for keys of [peer NAME] only.
    int (*set)(struct config *c, struct config_peer *peer, const char *value, char *why);
};
extern const struct config_key config_keys[];
extern const size_t config_key_count;
const struct config_key *config_key_find(const char *section, const char *key);
bool config_section_known(const char *section);
// Writes " (did you mean ...)" for a name that is not there, or "" if nothing is near.
void config_hint_section(const char *section, char *out, size_t size);
void config_hint_key(const char *section, const char *key, char *out, size_t size);

// ---- config_values.c: 0 or -1 with why ----
int value_bool(const char *s, bool *out, char *why);
int value_number(const char *s, unsigned long min, unsigned long max, unsigned long *out, char *why);
int value_name(const char *s, char out[CONFIG_NAME], const char *extra, char *why); // letters, digits and extra
int value_interface(const char *s, char out[CONFIG_IFNAME], char *why);
int value_interfaces(const char *s, struct config_discover *d, char *why);
int value_lan(const char *s, struct config_lan *l, char *why); // none or a list
int value_rate(const char *s, uint64_t *bps, char *why);
int value_volume(const char *s, uint64_t *bytes, char *why);
int value_exits(const char *s, struct bw_addr *out, uint32_t *count, char *why);
int value_blocks(const char *s, struct config_internet *i, char *why);
int value_days(const char *s, uint32_t *days, char *why);
int value_count(const char *s, uint32_t *out, char *why); // none is 0
int value_endpoint(const char *s, bool port_needed, struct config_endpoint *out, char *why);
int value_probes(const char *s, struct config_internet *i, char *why);
int value_rules(const char *s, struct config_firewall *f, char *why);
int value_exports(const char *s, struct config_routing *r, char *why);
int value_imports(const char *s, struct config_routing *r, char *why);
int value_path(const char *s, char out[CONFIG_PATH], char *why);
int value_key(const char *s, uint8_t out[32], char *why);

// ---- config_secret.c: files with secrets ----
// path relative to the folder of `beside` unless it is absolute. A file that others can read is refused.
int secret_read_psk(const char *beside, const char *path, uint8_t psk[32], char *why);
int secret_read_network(const char *beside, const char *path, uint8_t secret[32], char *why);

// ---- config_report.c ----
void report_init(struct config_report *r, const char *path);
void report_add(struct config_report *r, int line, const char *where, const char *fmt, ...) BW_PRINTF(4, 5);
void report_sort(struct config_report *r); // by line, overrides last

#endif
