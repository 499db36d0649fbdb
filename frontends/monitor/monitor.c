/*
 * frontends/monitor/monitor.c - lines in, answers out, and a machine that stands still meanwhile.
 *
 * The protocol: a command a line (LF, CR or CRLF); its answer is any number of lines and then one
 * that is "ok" or begins with "error: ". A program waits for that one. A person, on a terminal,
 * gets a prompt and sees what is typed.
 */
#include "frontends/monitor/monitor_priv.h"
#include "machine/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "(trivisor) "

static void put(struct monitor *m, const char *text, size_t n)
{
    chardev_write(m->out, (const u8 *)text, n);
}

void monitor_say(struct monitor *m, const char *fmt, ...)
{
    char text[2048], line[2 * sizeof(text)];
    size_t n = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (const char *p = text; *p; p++) {
        bool control = ((u8)*p < ' ' && *p != '\n') || *p == 0x7f;
        if (*p == '\n' && m->tty)
            line[n++] = '\r';
        line[n++] = control ? '?' : *p;
    }
    put(m, line, n);
}

static void prompt(struct monitor *m)
{
    if (m->tty)
        put(m, PROMPT, strlen(PROMPT));
}

static void end_of_line(struct monitor *m)
{
    if (m->tty)
        put(m, "\r\n", 2);
    m->line[m->n] = 0;
    if (m->too_long)
        monitor_say(m, "error: a command has at most %d characters\n", LINE_MAX_ - 1);
    else if (m->n)
        monitor_command(m, m->line);
    m->n = 0;
    m->too_long = false;
    if (!m->quit)
        prompt(m);
}

static void erase(struct monitor *m)
{
    if (!m->n)
        return;
    do /* a character of several bytes is one */
        m->n--;
    while (m->n && ((u8)m->line[m->n] & 0xc0) == 0x80);
    put(m, "\b \b", 3);
}

static void take(struct monitor *m, u8 c)
{
    if (c == '\n' && m->was_cr) { /* the second half of CRLF */
        m->was_cr = false;
        return;
    }
    m->was_cr = c == '\r';
    if (c == '\n' || c == '\r') {
        end_of_line(m);
    } else if (m->tty && (c == 0x7f || c == '\b')) {
        erase(m);
    } else if (m->tty && c == 0x15) { /* Ctrl-U */
        while (m->n)
            erase(m);
    } else if (m->n + 1 >= sizeof(m->line)) {
        m->too_long = true;
    } else if (c >= ' ' || c == '\t') {
        m->line[m->n++] = (char)c;
        if (m->tty)
            put(m, (const char *)&c, 1);
    } else if (!m->tty) {
        m->line[m->n++] = '?'; /* no command has it */
    }
}

static size_t space(void *ctx)
{
    struct monitor *m = ctx;
    return m->quit ? 0 : LINE_MAX_;
}

static void recv_bytes(void *ctx, const u8 *buf, size_t len)
{
    struct monitor *m = ctx;
    for (size_t k = 0; k < len && !m->quit; k++)
        take(m, buf[k]);
}

struct monitor *monitor_new(struct chardev *stream, bool tty, bool can_pause)
{
    struct monitor *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->out = stream;
    m->tty = tty;
    m->can_pause = can_pause;
    return m;
}

void monitor_greet(struct monitor *m)
{
    m->tty = true;
    monitor_say(m, "\nThe monitor: 'help' helps, Ctrl-A c goes back to the serial port.\n");
    prompt(m);
}

void monitor_start(struct monitor *m, struct vm *vm, bool greet)
{
    m->vm = vm;
    if (m->out) {
        m->out->space = space;
        m->out->recv = recv_bytes;
        m->out->ctx = m;
    }
    if (greet)
        prompt(m);
}

void monitor_free(struct monitor *m)
{
    if (m && m->out && m->out->ctx == m) {
        m->out->space = NULL;
        m->out->recv = NULL;
        m->out->ctx = NULL;
    }
    free(m);
}

bool monitor_hold(struct monitor *m, const volatile sig_atomic_t *signalled)
{
    enum { LOOK_NS = 100000000 }; /* a signal handler of run.c posts nothing */
    if (!m || (!m->paused && !m->resumed))
        return false;
    m->holding = true;
    vm_pause_time(m->vm);
    while (m->paused && !m->quit && !*signalled)
        vm_attend(m->vm, LOOK_NS);
    m->resumed = m->holding = false;
    return !m->quit && !*signalled;
}

void monitor_run(struct monitor *m, const char *line)
{
    char copy[LINE_MAX_];
    snprintf(copy, sizeof(copy), "%s", line);
    monitor_command(m, copy);
}
