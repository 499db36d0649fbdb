/*
 * frontends/lockstep/serve.c - one side of a comparison: a machine that runs as far as it is told
 * and answers questions about its state, on standard input and output.
 *
 * The state to return to is a process: REQ_MARK forks, the parent waits as the mark, the child goes
 * on with the same socket. When the child ends, by REQ_BACK or by a crash, the parent forks again.
 */
#include "frontends/lockstep/lockstep_priv.h"
#include "machine/lockstep.h"
#include "machine/trace.h"
#include "frontends/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_BACK = 42 };

struct plant {
    bool on, mem;
    u64 icount, addr; /* of mem: physical */
    int gpr;
};

struct server {
    struct run_options o;
    struct vm *vm;
    struct chardev serial, debugcon;
    u8 kept[SERIAL_KEPT]; /* the last of what the guest said, by its number modulo the size */
    u64 serial_len, serial_digest;
    int in, out;
    pid_t mark;
    struct plant plant;
    bool ended;
    struct progress end;
};

bool read_all(int fd, void *buf, size_t len)
{
    u8 *p = buf;
    while (len) {
        ssize_t n = read(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool write_all(int fd, const void *buf, size_t len)
{
    const u8 *p = buf;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool answer(struct server *s, enum reply_kind kind, const void *buf, size_t len)
{
    struct reply r = {.kind = kind, .len = (u32)len};
    return write_all(s->out, &r, sizeof(r)) && write_all(s->out, buf, len);
}

/* ---- the guest's words ----------------------------------------------------------------------- */
static void said(struct server *s, const u8 *buf, size_t len)
{
    for (size_t k = 0; k < len; k++) {
        s->kept[s->serial_len++ % SERIAL_KEPT] = buf[k];
        s->serial_digest = (s->serial_digest ^ buf[k]) * 0x100000001b3ull;
    }
}

static void serial_write(struct chardev *c, const u8 *buf, size_t len)
{
    said(container_of(c, struct server, serial), buf, len);
}

static void debugcon_write(struct chardev *c, const u8 *buf, size_t len)
{
    said(container_of(c, struct server, debugcon), buf, len);
}

static bool answer_serial(struct server *s, u64 from)
{
    u8 buf[SERIAL_KEPT];
    u64 first = s->serial_len > SERIAL_KEPT ? s->serial_len - SERIAL_KEPT : 0;
    size_t n = 0;
    for (u64 k = MAX(from, first); k < s->serial_len; k++)
        buf[n++] = s->kept[k % SERIAL_KEPT];
    return answer(s, REPLY_OK, buf, n);
}

/* ---- running --------------------------------------------------------------------------------- */
static void do_plant(struct server *s)
{
    struct plant *p = &s->plant;
    p->on = false;
    if (p->mem) {
        u8 b;
        vm_read_phys(s->vm, p->addr, &b, 1);
        b ^= 1;
        vm_write_phys(s->vm, p->addr, &b, 1);
    } else {
        struct cpu_regs r;
        vm_get_regs(s->vm, 0, &r);
        r.gpr[p->gpr] ^= 1;
        vm_set_regs(s->vm, 0, &r);
    }
}

static enum vm_stop run(struct server *s, u64 n, struct error *err)
{
    u64 now = vm_icount(s->vm), end = now + n;
    if (s->plant.on && s->plant.icount >= now && s->plant.icount < end) {
        enum vm_stop why = vm_run_insns(s->vm, s->plant.icount - now, err);
        if (why != VM_STOP_REQUEST || vm_icount(s->vm) != s->plant.icount)
            return why;
        do_plant(s);
    }
    return vm_run_insns(s->vm, end - vm_icount(s->vm), err);
}

static bool answer_run(struct server *s, u64 n)
{
    struct error err = {{0}};
    struct progress p;
    if (!s->ended) {
        memset(&p, 0, sizeof(p));
        u64 want = vm_icount(s->vm) + n;
        p.why = run(s, n, &err);
        if (p.why == VM_STOP_ERROR)
            return answer(s, REPLY_ERROR, err.msg, strlen(err.msg));
        struct vm_stats st;
        vm_stats(s->vm, &st);
        p.virtual_ns = st.run_ns;
        p.icount = vm_icount(s->vm);
        p.serial_len = s->serial_len;
        p.serial_digest = s->serial_digest;
        p.exit_code = p.why == VM_STOP_EXIT ? vm_exit_code(s->vm) : 0;
        vm_get_regs(s->vm, 0, &p.regs);
        s->ended = p.why != VM_STOP_REQUEST || p.icount < want;
        s->end = p;
    }
    return answer(s, REPLY_OK, &s->end, sizeof(s->end));
}

/* ---- marks ----------------------------------------------------------------------------------- */
/* Returns in the child only. */
static bool mark(struct server *s)
{
    pid_t older = s->mark;
    for (;;) {
        pid_t pid = fork();
        if (pid < 0) {
            static const char text[] = "cannot fork: no memory for a copy of the machine";
            return answer(s, REPLY_ERROR, text, sizeof(text) - 1);
        }
        if (pid == 0) {
            if (older)
                kill(older, SIGKILL);
            s->mark = getppid();
            if (!vm_forked(s->vm))
                _exit(STATUS_HOST);
            return answer(s, REPLY_OK, NULL, 0);
        }
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        older = 0;
        if (WIFSIGNALED(status) || WEXITSTATUS(status) == STATUS_HOST) {
            char text[80];
            if (WIFSIGNALED(status))
                snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
            else
                snprintf(text, sizeof(text), "failed");
            if (!answer(s, REPLY_DIED, text, strlen(text)))
                _exit(0);
        } else if (WEXITSTATUS(status) != EXIT_BACK) {
            _exit(0); /* the other end is gone */
        }
        if (WIFSIGNALED(status) || WEXITSTATUS(status) == STATUS_HOST) {
            /* its BACK comes to us: the fork below answers it */
            struct request r;
            if (!read_all(s->in, &r, sizeof(r)) || r.kind != REQ_BACK)
                _exit(0);
        }
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */
static bool answer_pages(struct server *s, u64 first, u64 n)
{
    u64 size, out[4096];
    const u8 *ram = vm_ram(s->vm, &size);
    u64 pages = size >> PAGE_SHIFT;
    n = MIN(n, (u64)ARRAY_LEN(out));
    n = first < pages ? MIN(n, pages - first) : 0;
    for (u64 k = 0; k < n; k++)
        out[k] = digest(0, ram + ((first + k) << PAGE_SHIFT), PAGE_SIZE);
    return answer(s, REPLY_OK, out, n * sizeof(u64));
}

static bool answer_peek(struct server *s, u64 addr)
{
    u8 b[PEEK_MAX];
    u32 n = PEEK_MAX, page_left = (u32)(PAGE_SIZE - (addr & ~PAGE_MASK));
    if (!vm_peek(s->vm, addr, b, n)) {
        n = MIN(n, page_left);
        if (!vm_peek(s->vm, addr, b, n))
            n = 0;
    }
    return answer(s, REPLY_OK, b, n);
}

/* False: the conversation is over. */
static bool serve(struct server *s, const struct request *r)
{
    static const char bad[] = "not understood";
    u64 size, v;
    const u8 *ram = vm_ram(s->vm, &size);
    switch (r->kind) {
    case REQ_HELLO: {
        struct hello h = {PROTOCOL, sizeof(struct cpu_regs), size};
        return answer(s, REPLY_OK, &h, sizeof(h));
    }
    case REQ_RUN:
        return answer_run(s, r->a);
    case REQ_DIGEST:
        v = digest(0, ram, size);
        return answer(s, REPLY_OK, &v, sizeof(v));
    case REQ_PAGES:
        return answer_pages(s, r->a, r->b);
    case REQ_PAGE:
        if (r->a >= size >> PAGE_SHIFT)
            return answer(s, REPLY_ERROR, bad, sizeof(bad) - 1);
        return answer(s, REPLY_OK, ram + (r->a << PAGE_SHIFT), PAGE_SIZE);
    case REQ_PEEK:
        return answer_peek(s, r->a);
    case REQ_SERIAL:
        return answer_serial(s, r->a);
    case REQ_MARK:
        return mark(s);
    case REQ_BACK:
        if (!s->mark)
            return answer(s, REPLY_ERROR, bad, sizeof(bad) - 1);
        _exit(EXIT_BACK);
    default:
        return answer(s, REPLY_ERROR, bad, sizeof(bad) - 1);
    }
}

/* ---- start ----------------------------------------------------------------------------------- */
/* "rcx,ICOUNT" or "mem=ADDRESS,ICOUNT": a bit that flips, to see that a difference is found. */
static enum status parse_plant(const char *text, struct plant *p, struct error *err)
{
    static const char *const gpr[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    char what[64];
    const char *comma = strchr(text, ',');
    p->on = comma && (size_t)(comma - text) < sizeof(what) &&
            parse_number(comma + 1, ~0ull >> 1, &p->icount);
    if (p->on) {
        snprintf(what, sizeof(what), "%.*s", (int)(comma - text), text);
        p->mem = !strncmp(what, "mem=", 4);
        p->gpr = -1;
        for (int k = 0; k < 16; k++)
            if (!strcmp(gpr[k], what))
                p->gpr = k;
        p->on = p->mem ? parse_number(what + 4, ~0ull >> 1, &p->addr) : p->gpr >= 0;
    }
    return p->on ? ST_OK : fail(err, ST_INVAL, "-plant: '%s' is not REG,N or mem=ADDR,N", text);
}

static enum status start(struct server *s, const char *engine, const char *plant, int argc,
                         char **argv, struct error *err)
{
    static const struct chardev_ops serial_ops = {.write = serial_write};
    static const struct chardev_ops debugcon_ops = {.write = debugcon_write};
    enum status st = options_parse(argc, argv, &s->o, err);
    if (!st && s->o.done)
        st = fail(err, ST_INVAL, "nothing to run");
    if (!st && *plant)
        st = parse_plant(plant, &s->plant, err);
    if (st)
        return st;
    s->serial.ops = &serial_ops;
    s->debugcon.ops = &debugcon_ops;
    s->o.snapshot = true; /* two machines and their copies write to the same images */
    s->o.cfg.engine = *engine ? engine : NULL;
    s->o.cfg.headless = true;
    s->o.cfg.any_engine = true;
    s->o.cfg.icount = true;
    s->o.cfg.no_reboot = true;
    s->o.cfg.serial[0] = &s->serial;
    s->o.cfg.debugcon = &s->debugcon;
    for (int k = 0; k < s->o.n_nics; k++) /* what comes from outside would not repeat */
        nic_card(s->o.nics[k], k, &s->o.cfg.nic[k]);
    st = drives_open(&s->o, err);
    if (!st) {
        st = vm_new(&s->o.cfg, &s->vm, err);
        if (st)
            drives_close(&s->o.cfg);
    }
    return st ? st : vm_forkable(s->vm, err);
}

/* argv: engine, plant, then the options of run. */
int lockstep_serve(int argc, char **argv)
{
    struct server *s;
    struct error err = {{0}};
    struct request r;
    if (argc < 2)
        return STATUS_USAGE;
    s = calloc(1, sizeof(*s));
    if (!s)
        return STATUS_HOST;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* the one who compares ends us by closing the socket */
    s->in = fcntl(0, F_DUPFD_CLOEXEC, 3);
    s->out = fcntl(1, F_DUPFD_CLOEXEC, 3);
    dup2(2, 1); /* whatever prints does not print into the conversation */
    enum status st = start(s, argv[0], argv[1], argc - 2, argv + 2, &err);
    if (st) {
        if (read_all(s->in, &r, sizeof(r)))
            answer(s, REPLY_ERROR, err.msg, strlen(err.msg));
        vm_free(s->vm);
        options_free(&s->o);
        free(s);
        return st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
    }
    while (read_all(s->in, &r, sizeof(r)) && serve(s, &r)) {
    }
    if (s->mark)
        kill(s->mark, SIGKILL);
    _exit(0); /* copies of a machine share what vm_free() would close */
}
