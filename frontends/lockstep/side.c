/*
 * frontends/lockstep/side.c - the near end of the conversation with one side (serve.c).
 */
#include "frontends/lockstep/lockstep_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static enum status spawn(struct side *s, const char *exe, char **argv, struct error *err)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
        return fail(err, ST_IO, "cannot make a socket: %s", strerror(errno));
    s->pid = fork();
    if (s->pid < 0) {
        close(fd[0]);
        close(fd[1]);
        return fail(err, ST_NOMEM, "cannot fork: %s", strerror(errno));
    }
    if (s->pid == 0) {
        dup2(fd[1], 0);
        dup2(fd[1], 1);
        execv(exe ? exe : "/proc/self/exe", argv);
        _exit(127);
    }
    close(fd[1]);
    s->fd = fd[0];
    return ST_OK;
}

enum status side_open(struct side *s, const char *exe, const char *engine, const char *plant,
                      int argc, char **argv, struct error *err)
{
    char **args = calloc((size_t)argc + 8, sizeof(*args));
    char **p = args;
    struct hello h = {0};
    if (!args)
        return fail(err, ST_NOMEM, "out of memory");
    *p++ = (char *)(uintptr_t)(exe ? exe : "trivisor");
    *p++ = (char *)(uintptr_t) "lockstep";
    *p++ = (char *)(uintptr_t) "--serve";
    *p++ = (char *)(uintptr_t)(engine ? engine : "");
    *p++ = (char *)(uintptr_t)(plant ? plant : "");
    for (int k = 0; k < argc; k++)
        *p++ = argv[k];
    s->name = exe ? exe : engine ? engine : "default";
    s->fd = -1;
    enum status st = spawn(s, exe, args, err);
    free(args);
    if (st)
        return st;
    size_t len = sizeof(h);
    struct error why;
    /* A program that is no side may have ended before it was asked, or have said something without
     * being asked: what it said decides, not who was first. */
    side_ask(s, REQ_HELLO, 0, 0, &why);
    st = side_answer(s, &h, &len, &why);
    if (st == ST_IO && exe)
        return fail(err, st, "%s: cannot be run, or knows no lockstep", exe);
    if (st)
        return fail(err, st, "%s", why.msg);
    if (len != sizeof(h) || h.protocol != PROTOCOL || h.regs_size != sizeof(struct cpu_regs))
        return fail(err, ST_FORMAT, "%s: a build that is too different", exe ? exe : "this build");
    s->ram_size = h.ram_size;
    return ST_OK;
}

void side_close(struct side *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->pid > 0)
        waitpid(s->pid, NULL, WNOHANG);
    s->fd = -1;
}

enum status side_ask(struct side *s, enum request_kind kind, u64 a, u64 b, struct error *err)
{
    struct request r = {.kind = kind, .a = a, .b = b};
    const u8 *p = (const u8 *)&r;
    for (size_t left = sizeof(r); left;) {
        /* a side that is gone is an error to report, not a SIGPIPE to die of */
        ssize_t n = send(s->fd, p, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(err, ST_IO, "%s: the process is gone", s->name);
        p += n;
        left -= (size_t)n;
    }
    return ST_OK;
}

enum status side_answer(struct side *s, void *buf, size_t *len, struct error *err)
{
    struct reply r;
    char text[512] = "";
    if (!read_all(s->fd, &r, sizeof(r)))
        return fail(err, ST_IO, "%s: the process is gone", s->name);
    bool ok = r.kind == REPLY_OK;
    if (r.len > (ok ? *len : sizeof(text) - 1))
        return fail(err, ST_FORMAT, "%s: answers something else", s->name);
    if (!read_all(s->fd, ok ? buf : text, r.len))
        return fail(err, ST_IO, "%s: the process is gone", s->name);
    *len = ok ? r.len : 0;
    if (ok)
        return ST_OK;
    if (r.kind == REPLY_DIED)
        return fail(err, ST_IO, "%s", text);
    return fail(err, ST_INVAL, "%s", text);
}

enum status side_call(struct side *s, enum request_kind kind, u64 a, u64 b, void *buf, size_t len,
                      struct error *err)
{
    size_t got = len;
    enum status st = side_ask(s, kind, a, b, err);
    if (!st)
        st = side_answer(s, buf, &got, err);
    if (!st && got != len)
        st = fail(err, ST_FORMAT, "%s: answers something else", s->name);
    return st;
}
