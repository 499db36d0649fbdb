/*
 * base/zip.c - the only file that knows Zstandard.
 */
#include "base/zip.h"

#include <stdlib.h>
#include <zstd.h>

struct zip {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

struct zip *zip_new(int level, bool sum)
{
    struct zip *z = calloc(1, sizeof(*z));
    if (!z)
        return NULL;
    z->pack = ZSTD_createCCtx();
    z->unpack = ZSTD_createDCtx();
    if (!z->pack || !z->unpack) {
        zip_free(z);
        return NULL;
    }
    ZSTD_CCtx_setParameter(z->pack, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(z->pack, ZSTD_c_checksumFlag, sum);
    return z;
}

void zip_free(struct zip *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->pack);
    ZSTD_freeDCtx(z->unpack);
    free(z);
}

size_t zip_bound(size_t n)
{
    return ZSTD_compressBound(n);
}

size_t zip_pack(struct zip *z, void *to, size_t room, const void *from, size_t n)
{
    size_t r = ZSTD_compress2(z->pack, to, room, from, n);
    return ZSTD_isError(r) ? 0 : r;
}

bool zip_unpack(struct zip *z, void *to, size_t n, const void *from, size_t len)
{
    size_t r = ZSTD_decompressDCtx(z->unpack, to, n, from, len);
    return !ZSTD_isError(r) && r == n;
}
