/*
 * tests/record/record_test.h - what the tests of the recorder share.
 */
#ifndef TESTS_RECORD_RECORD_TEST_H
#define TESTS_RECORD_RECORD_TEST_H

#include "frontends/record/session.h"

#include <stdlib.h>

static inline const char *source_root(void)
{
    const char *root = getenv("TRIVISOR_SOURCE");
    return root ? root : ".";
}

#endif
