// What this processor does fast.
#include "crypto/crypto.h"

#if defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>
#ifdef __aarch64__
#define AES_AT AT_HWCAP
#define AES_BITS (1ul << 3 | 1ul << 4) // HWCAP_AES, HWCAP_PMULL
#else
#define AES_AT AT_HWCAP2
#define AES_BITS (1ul << 0 | 1ul << 1)
#endif
#endif

bool bw_aes_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(AES_AT)
    return (getauxval(AES_AT) & AES_BITS) == AES_BITS;
#else
    return false;
#endif
}
