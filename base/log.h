/*
 * base/log.h - diagnostics for the person who runs the VM, and the check for our own bugs.
 *
 * You are here: log lines go to one sink per process (stderr unless a front end sets another).
 * Guest-triggerable messages use log_guest(), which is off unless asked for, so that a hostile
 * guest cannot fill a disk.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_GUEST, LOG_DEBUG };

/* Messages above `level` are dropped. Default LOG_WARN. Thread-safe. */
void log_set_level(enum log_level level);
enum log_level log_level(void);

/* Where lines go; NULL restores stderr. Called with one line, no newline. */
typedef void log_sink_fn(void *ctx, enum log_level level, const char *line);
void log_set_sink(log_sink_fn *fn, void *ctx);

void log_at(enum log_level level, const char *fmt, ...) printf_like(2, 3);
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_guest(...)                                                                             \
    do {                                                                                           \
        if (unlikely(log_level() >= LOG_GUEST))                                                    \
            log_at(LOG_GUEST, __VA_ARGS__);                                                        \
    } while (0)

/* Our own bug: prints file, line and the failed condition, runs the crash hook, aborts.
 * Never reachable by guest input. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            check_failed(__FILE__, __LINE__, #cond);                                               \
    } while (0)
noreturn cold void check_failed(const char *file, int line, const char *cond);

/* Runs before abort(), to dump the CPU; NULL for none. Per thread. */
void check_set_hook(void (*fn)(void *ctx), void *ctx);

#endif
