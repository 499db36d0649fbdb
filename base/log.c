/*
 * base/log.c - the log sink, CHECK and status messages.
 *
 * The sink and level are the process's, not a VM's: stderr is one. The crash hook is per thread.
 */
#include "base/log.h"
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic int current_level = LOG_WARN;
static log_sink_fn *sink;
static void *sink_ctx;
static _Thread_local void (*crash_hook)(void *);
static _Thread_local void *crash_ctx;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_sink(log_sink_fn *fn, void *ctx)
{
    sink = fn;
    sink_ctx = ctx;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "guest: ", "debug: "};
    char line[1024];
    va_list ap;

    if (level > log_level())
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (sink)
        sink(sink_ctx, level, line);
    else
        fprintf(stderr, "trivisor: %s%s\n", prefix[level], line);
}

void check_set_hook(void (*fn)(void *ctx), void *ctx)
{
    crash_hook = fn;
    crash_ctx = ctx;
}

void check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "trivisor: internal error at %s:%d: %s\n", file, line, cond);
    if (crash_hook) {
        void (*fn)(void *) = crash_hook;
        crash_hook = NULL; /* a CHECK inside the hook must not recurse */
        fn(crash_ctx);
    }
    abort();
}

enum status fail(struct error *err, enum status st, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
        va_end(ap);
    }
    return st;
}

enum status status_from_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return ST_NOENT;
    case EACCES:
    case EPERM:
    case EROFS:
        return ST_ACCESS;
    case ENOMEM:
        return ST_NOMEM;
    case EINVAL:
        return ST_INVAL;
    case EBUSY:
    case EWOULDBLOCK:
        return ST_BUSY;
    default:
        return ST_IO;
    }
}

const char *status_name(enum status st)
{
    static const char *const names[] = {
        [ST_OK] = "ok",
        [ST_INVAL] = "invalid argument",
        [ST_NOENT] = "no such file",
        [ST_ACCESS] = "permission denied",
        [ST_IO] = "input/output error",
        [ST_NOMEM] = "out of memory",
        [ST_FORMAT] = "bad file format",
        [ST_RANGE] = "out of range",
        [ST_BUSY] = "busy",
        [ST_UNSUP] = "not supported",
    };
    return (unsigned)st < ARRAY_LEN(names) ? names[st] : "unknown";
}
