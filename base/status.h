/*
 * base/status.h - how host and user mistakes travel: a code, and a message for a person.
 *
 * You are here: functions that can fail because of the host or the user return `enum status` and
 * fill a `struct error` when one was given. Guest faults and our own bugs do not come this way
 * (docs/errors.md): the former are cpu_raise(), the latter CHECK().
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "base/types.h"

enum status {
    ST_OK = 0,
    ST_INVAL,  /* a value that makes no sense: option, size, combination */
    ST_NOENT,  /* no such file */
    ST_ACCESS, /* permission denied, read-only */
    ST_IO,     /* the host failed to read or write; short file */
    ST_NOMEM,  /* host memory exhausted */
    ST_FORMAT, /* a file whose contents are not what they should be */
    ST_RANGE,  /* address or size outside what exists */
    ST_BUSY,   /* already in use */
    ST_UNSUP,  /* known, but not offered here */
};

/* One line without newline, always NUL-terminated. */
struct error {
    char msg[512];
};

/* Writes the message into err (may be NULL) and returns st, so that `return fail(...)` reads well.
 */
enum status fail(struct error *err, enum status st, const char *fmt, ...) printf_like(3, 4);

/* The status that fits an errno value. */
enum status status_from_errno(int e);

/* A short name, "no such file" for ST_NOENT. Never NULL. */
const char *status_name(enum status st);

#endif
