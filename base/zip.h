/*
 * base/zip.h - compressing and expanding one buffer at a time.
 *
 * You are here: trace files, snapshots. zip.c is the only file that knows Zstandard.
 */
#ifndef BASE_ZIP_H
#define BASE_ZIP_H

#include "base/types.h"

struct zip; /* buffers and tables of one direction's user; not for two threads */

/* level: 1 fast ... 19 small; sum: each packed buffer has a sum of its own. NULL: no memory. */
struct zip *zip_new(int level, bool sum);
void zip_free(struct zip *z);

/* At most how much n bytes become. */
size_t zip_bound(size_t n);
/* Bytes written to `to`, which has room for zip_bound(n); 0: it failed. The same input gives the
 * same output. */
size_t zip_pack(struct zip *z, void *to, size_t room, const void *from, size_t n);
/* False: `from` is damaged or does not expand to exactly n bytes. */
bool zip_unpack(struct zip *z, void *to, size_t n, const void *from, size_t len);

#endif
