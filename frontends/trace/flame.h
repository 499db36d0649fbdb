/*
 * frontends/trace/flame.h - weighted stacks as a picture.
 */
#ifndef FRONTENDS_TRACE_FLAME_H
#define FRONTENDS_TRACE_FLAME_H

#include "base/types.h"

#include <stdio.h>

struct flame_line {
    char *text; /* "outermost;...;innermost"; no control characters, quotes or non-ASCII */
    u64 weight;
};

/* lines are sorted by text. An SVG of its own, with a tooltip on each box; width is weight, the
 * outermost at the bottom. False: no memory. Errors of f are the caller's. */
bool flame_write(FILE *f, const char *title, const struct flame_line *lines, u32 n);

#endif
