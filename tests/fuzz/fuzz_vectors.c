/*
 * tests/fuzz/fuzz_vectors.c - any bytes as a file of test vectors: MOO or JSON, gzip'd or not.
 */
#include "tests/fuzz/fuzz.h"
#include "frontends/check/vector.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct vector_file *f;
    struct vector v;
    struct error err;
    if (vector_open_memory(data, size, "fuzz", &f, &err) != ST_OK)
        return 0;
    vector_init(&v);
    for (u32 k = 0; k < vector_count(f) && k < 64; k++) {
        if (vector_read(f, k, &v, &err) != ST_OK)
            continue;
        MUST(v.len <= VECTOR_BYTES && memchr(v.name, 0, VECTOR_NAME));
        MUST(v.bits == 16 || v.bits == 32 || v.bits == 64);
        MUST(v.init.n_cells <= VECTOR_CELLS && v.final.n_cells <= VECTOR_CELLS);
    }
    vector_free(&v);
    vector_close(f);
    return 0;
}
