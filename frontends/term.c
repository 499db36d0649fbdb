/*
 * frontends/term.c - the terminal's mode: raw while a serial port or the machine's screen is on
 * it, restored always.
 *
 * The process has one terminal and signal handlers must find it, so this state is the file's.
 * Covered ways out: exit(), SIGABRT and the CPU's own fault signals (restore, then die as if we
 * had not been there), SIGTSTP and SIGCONT. SIGKILL is not: type "reset".
 */
#include "frontends/cli_priv.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

static struct termios cooked, raw;
static volatile sig_atomic_t is_raw; /* the terminal is raw now */
static volatile sig_atomic_t wanted; /* it should be while we run */
static volatile sig_atomic_t resumes;

/* A full-screen display's: see term_screen(). */
static struct {
    char enter[64], leave[256];
    volatile sig_atomic_t drawn; /* it is on the terminal now */
    volatile sig_atomic_t held;  /* standard error waits in `text` */
    int text, real;
} full = {.text = -1, .real = -1};

static void set(const struct termios *t)
{
    /* From the background this would stop us: SIGTTOU. Blocked, it just works. */
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &before);
    tcsetattr(STDIN_FILENO, TCSANOW, t);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Also in signal handlers. */
static void put(int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t k = write(fd, s, n);
        if (k <= 0)
            return;
        s += k;
        n -= (size_t)k;
    }
}

static void leave_screen(void)
{
    if (full.drawn) {
        full.drawn = 0;
        put(STDOUT_FILENO, full.leave, strlen(full.leave));
    }
}

/* Standard error is itself again and says what it kept. */
static void show_errors(void)
{
    char buf[1024];
    ssize_t n;
    if (!full.held)
        return;
    full.held = 0;
    dup2(full.real, STDERR_FILENO);
    lseek(full.text, 0, SEEK_SET);
    while ((n = read(full.text, buf, sizeof(buf))) > 0)
        put(STDERR_FILENO, buf, (size_t)n);
}

static void keep_errors(void)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (full.text < 0) {
        full.text = memfd_create("messages", MFD_CLOEXEC);
        full.real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    if (full.text >= 0 && full.real >= 0 && ftruncate(full.text, 0) == 0 &&
        dup2(full.text, STDERR_FILENO) >= 0)
        full.held = 1;
}

void term_screen(const char *enter, const char *leave, const char *plain)
{
    full.drawn = 0;
    full.enter[0] = full.leave[0] = 0;
    show_errors();
    if (!plain)
        return;
    snprintf(full.enter, sizeof(full.enter), "%s", enter ? enter : "");
    snprintf(full.leave, sizeof(full.leave), "%s%s", plain, leave ? leave : "\r\n");
    full.drawn = 1;
    keep_errors();
}

int term_resumed(void)
{
    return resumes;
}

bool term_away(void)
{
    return wanted && !is_raw;
}

void term_restore(void)
{
    leave_screen();
    show_errors();
    wanted = 0;
    if (is_raw) {
        is_raw = 0;
        set(&cooked);
    }
}

/* The handler is gone when this runs (SA_RESETHAND): returning repeats a fault, raising repeats
 * the rest, and the process dies of the signal it was sent. */
static void on_fatal(int sig)
{
    term_restore();
    raise(sig);
}

static void on_stop(int sig)
{
    if (is_raw) {
        is_raw = 0;
        leave_screen();
        set(&cooked);
    }
    raise(SIGSTOP);
}

static void on_continue(int sig)
{
    /* In the background the terminal is someone else's. */
    if (wanted && !is_raw && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
        set(&raw);
        if (full.enter[0] || full.leave[0]) {
            full.drawn = 1;
            put(STDOUT_FILENO, full.enter, strlen(full.enter));
        }
        resumes = resumes + 1;
        is_raw = 1;
    }
}

static void handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction old, sa = {.sa_handler = fn, .sa_flags = flags};
    sigemptyset(&sa.sa_mask);
    /* Whoever has a handler already (a sanitizer) knows better what to print. */
    if (sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(sig, &sa, NULL);
}

void term_raw(void)
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGQUIT};

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &cooked) < 0)
        return;
    raw = cooked;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    /* Output stays cooked: our own messages end in a bare newline. */
    for (size_t k = 0; k < ARRAY_LEN(fatal); k++)
        handle(fatal[k], on_fatal, SA_RESETHAND | SA_NODEFER);
    handle(SIGTSTP, on_stop, SA_RESTART);
    handle(SIGCONT, on_continue, SA_RESTART);
    atexit(term_restore);
    wanted = 1;
    is_raw = 1;
    set(&raw);
}
