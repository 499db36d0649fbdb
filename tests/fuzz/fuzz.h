/*
 * tests/fuzz/fuzz.h - what a fuzz target is.
 *
 * You are here: each fuzz_NAME.c has one function, which takes any bytes and returns, or ends the
 * process when something is wrong. libFuzzer calls it (./dev fuzz NAME); ordinary builds run it
 * over tests/fuzz/corpus/NAME (main.c).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/types.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x);                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
