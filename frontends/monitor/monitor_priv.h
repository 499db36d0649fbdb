/*
 * frontends/monitor/monitor_priv.h - a monitor inside: the line that is being typed, and answers.
 *
 * You are here: monitor.c takes lines from the stream, commands.c knows what they mean.
 */
#ifndef FRONTENDS_MONITOR_MONITOR_PRIV_H
#define FRONTENDS_MONITOR_MONITOR_PRIV_H

#include "base/types.h"
#include "frontends/monitor/monitor.h"

enum { LINE_MAX_ = 1024 };

struct monitor {
    struct vm *vm;
    struct chardev *out;
    bool tty, can_pause;
    bool paused, resumed, quit;
    bool holding; /* monitor_hold() is under way */
    char line[LINE_MAX_];
    u32 n;
    bool too_long; /* the rest of the line is dropped */
    bool was_cr;
};

/* Printed as text: control characters of file names do not reach a terminal. */
void monitor_say(struct monitor *m, const char *fmt, ...) printf_like(2, 3);
/* Runs a command and answers; the line is changed. */
void monitor_command(struct monitor *m, char *line);

#endif
