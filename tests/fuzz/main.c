/*
 * tests/fuzz/main.c - runs a fuzz target over the files that are named, and over each of them cut
 * short and with bytes changed; for builds without libFuzzer.
 */
#include "tests/fuzz/fuzz.h"

enum { MOST = 1 << 16, CHANGES = 32 };

static void one(const u8 *data, size_t n)
{
    u8 *copy = malloc(n ? n : 1); /* exactly: sanitizers see what is read behind it */
    MUST(copy);
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

int main(int argc, char **argv)
{
    static u8 data[MOST];
    u64 seed = 1;
    for (int k = 1; k < argc; k++) {
        FILE *f = fopen(argv[k], "rb");
        if (!f) {
            perror(argv[k]);
            return 1;
        }
        size_t n = fread(data, 1, sizeof(data), f);
        fclose(f);
        one(data, n);
        for (int c = 0; c < CHANGES && n; c++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            size_t at = (size_t)(seed >> 33) % n;
            u8 was = data[at];
            one(data, at);
            data[at] = (u8)(seed >> 20);
            one(data, n);
            data[at] = was;
        }
    }
    printf("%d files\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
