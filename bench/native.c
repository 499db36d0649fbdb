/*
 * bench/native.c - the unprivileged loops of roms/bench, run on the host: the yardstick.
 *
 * bench-native NAME COUNT prints the seconds that COUNT iterations took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "roms/bench/loops.h"

static unsigned char heap[HEAP_BYTES] __attribute__((aligned(4096)));

static const struct {
    const char *name;
    void (*run)(unsigned long n, unsigned char *heap);
} loops[] = {
#define ROW(name, insns, what) {#name, loop_##name},
    LOOPS(ROW)};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        if (strcmp(argv[1], loops[i].name) == 0) {
            double t0 = now();
            loops[i].run(strtoul(argv[2], NULL, 10), heap);
            printf("%.9f\n", now() - t0);
            return 0;
        }
    }
    return 1;
}
