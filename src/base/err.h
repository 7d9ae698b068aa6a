// Errors: every function of byway that can fail returns 0 (or a count) or one of these, all negative.
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define BW_NODISCARD __attribute__((warn_unused_result))
#define BW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum bw_err {
    BW_OK = 0,
    BW_ERR_MALFORMED = -1, // bytes or text that the format does not allow
    BW_ERR_SHORT = -2,     // ends before it should
    BW_ERR_RANGE = -3,     // a value outside what is allowed
    BW_ERR_AUTH = -4,      // a tag, signature or key that does not fit
    BW_ERR_REPLAY = -5,    // seen before, or older than what was seen
    BW_ERR_NOMEM = -6,     // no memory, or a cap reached
    BW_ERR_NOTFOUND = -7,
    BW_ERR_EXISTS = -8,
    BW_ERR_DENIED = -9,    // policy or permission says no
    BW_ERR_SYS = -10,      // a system call failed; errno tells
    BW_ERR_AGAIN = -11,    // not now; try later
    BW_ERR_UNSUPPORTED = -12,
};

// A short English name for a code, never NULL.
const char *bw_strerror(int err);

// Asserts are for our own mistakes and stay in release builds. Hostile input is never asserted on.
_Noreturn void bw_panic(const char *file, int line, const char *what);
#define BW_ASSERT(c) ((c) ? (void)0 : bw_panic(__FILE__, __LINE__, #c))

#endif
