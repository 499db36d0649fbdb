/*
 * frontends/gdb/stub.c - the packets of the GDB remote serial protocol, each carried out.
 *
 * All-stop mode; vCPU n is thread n + 1. What a packet says is not trusted: lengths and addresses
 * are checked here, registers and memory by machine/debug.h. A packet that is not known, or not
 * here, gets the empty reply. GDB manual, appendix E.
 */
#include "frontends/gdb/gdb_priv.h"
#include "base/bits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SIG_NONE = 0, SIG_INT = 2, SIG_TRAP = 5 };
/* Errors are numbers without a meaning to gdb; errno's are the custom. */
#define E_MEMORY "E14"
#define E_BAD    "E22"
#define E_FULL   "E28"

static void ok(struct gdb *g)
{
    gdb_puts(&g->reply, "OK");
}
static void error(struct gdb *g, const char *e)
{
    g->reply.n = 0;
    g->reply.full = false;
    gdb_puts(&g->reply, e);
}

static bool starts(const char *s, const char *with, const char **rest)
{
    size_t n = strlen(with);
    if (strncmp(s, with, n))
        return false;
    *rest = s + n;
    return true;
}

/* ---- stops --------------------------------------------------------------------------------- */
static void put_stop(struct gdb *g)
{
    static const char *const names[] = {
        [VM_WATCH_WRITE] = "watch", [VM_WATCH_READ] = "rwatch", [VM_WATCH_ACCESS] = "awatch"};
    const struct vm_break *met = &g->stop.met;
    gdb_putf(&g->reply, "T%02xthread:%02x;", (unsigned)g->stop_signal, (unsigned)g->stop.vcpu + 1);
    if (g->stop.why == VM_DEBUG_WATCH) {
        gdb_putf(&g->reply, "%s:%" PRIx64 ";", names[met->kind], met->addr);
    } else if (g->stop.why == VM_DEBUG_BREAK) {
        /* gdb looks for a breakpoint of its own at the PC and goes on without a word when there is
         * none; so only say it where PC and linear address are the same. */
        struct cpu_regs r;
        vm_get_regs(g->vm, g->stop.vcpu, &r);
        if (met->kind != VM_BREAK_PHYS && met->addr == r.rip) {
            if (met->kind == VM_BREAK_SOFT && g->swbreak)
                gdb_puts(&g->reply, "swbreak:;");
            if (met->kind == VM_BREAK_HARD && g->hwbreak)
                gdb_puts(&g->reply, "hwbreak:;");
        }
    }
}

void gdb_report(struct gdb *g, struct vm_debug_stop why, int signal)
{
    g->running = g->stepping = false;
    g->stop = why;
    g->stop_signal = signal;
    g->reply.n = 0;
    g->reply.full = false;
    put_stop(g);
    gdb_send(g);
}

void gdb_greet(struct gdb *g)
{
    memset(&g->parser, 0, sizeof(g->parser));
    g->frame_len = 0;
    g->no_ack = g->swbreak = g->hwbreak = false;
    g->physical = false;
    g->running = g->stepping = false;
    g->stop = (struct vm_debug_stop){.why = VM_DEBUG_INTERRUPT};
    g->stop_signal = SIG_TRAP;
}

/* ---- registers ----------------------------------------------------------------------------- */
static void read_registers(struct gdb *g)
{
    struct cpu_regs r;
    u8 v[16];
    vm_get_regs(g->vm, 0, &r);
    for (u32 n = 0; n < (u32)g->target.n_regs; n++)
        gdb_put_hex(&g->reply, v, gdb_reg_get(g, &r, n, v));
}

static void write_registers(struct gdb *g, const char *p)
{
    struct cpu_regs r;
    vm_get_regs(g->vm, 0, &r);
    for (u32 n = 0; n < (u32)g->target.n_regs && *p; n++) {
        u8 v[16] = {0};
        if (!gdb_take_bytes(&p, v, g->target.regs[n].size)) {
            error(g, E_BAD);
            return;
        }
        gdb_reg_set(g, &r, n, v);
    }
    vm_set_regs(g->vm, 0, &r);
    ok(g);
}

static void read_register(struct gdb *g, const char *p)
{
    struct cpu_regs r;
    u8 v[16];
    u64 n;
    u32 size = 0;
    vm_get_regs(g->vm, 0, &r);
    if (gdb_take_hex(&p, &n) && !*p && n < GDB_MAX_REGS)
        size = gdb_reg_get(g, &r, (u32)n, v);
    if (size)
        gdb_put_hex(&g->reply, v, size);
    else
        error(g, E_BAD);
}

static void write_register(struct gdb *g, const char *p)
{
    struct cpu_regs r;
    u8 v[16] = {0};
    u64 n;
    if (!gdb_take_hex(&p, &n) || !gdb_take_char(&p, '=') || n >= (u64)g->target.n_regs ||
        !gdb_take_bytes(&p, v, g->target.regs[n].size) || *p) {
        error(g, E_BAD);
        return;
    }
    vm_get_regs(g->vm, 0, &r);
    gdb_reg_set(g, &r, (u32)n, v);
    vm_set_regs(g->vm, 0, &r);
    ok(g);
}

static void set_pc(struct gdb *g, u64 pc)
{
    struct cpu_regs r;
    vm_get_regs(g->vm, 0, &r);
    r.rip = pc;
    vm_set_regs(g->vm, 0, &r);
}

/* ---- memory -------------------------------------------------------------------------------- */
static void read_memory(struct gdb *g, const char *p)
{
    u8 buf[GDB_PACKET_MAX / 2];
    u64 addr, len, n;
    if (!gdb_take_hex(&p, &addr) || !gdb_take_char(&p, ',') || !gdb_take_hex(&p, &len) || *p) {
        error(g, E_BAD);
        return;
    }
    len = MIN(len, sizeof(buf)); /* fewer bytes than asked for are allowed */
    n = g->physical ? vm_debug_read_phys(g->vm, addr, buf, len)
                    : vm_debug_read(g->vm, 0, addr, buf, len);
    if (len && !n)
        error(g, E_MEMORY);
    else
        gdb_put_hex(&g->reply, buf, n);
}

static void store(struct gdb *g, u64 addr, const void *data, u64 len)
{
    u64 n = g->physical ? vm_debug_write_phys(g->vm, addr, data, len)
                        : vm_debug_write(g->vm, 0, addr, data, len);
    if (n == len)
        ok(g);
    else
        error(g, E_MEMORY);
}

static void write_memory(struct gdb *g, const char *p, bool binary)
{
    u8 buf[GDB_PACKET_MAX / 2];
    u64 addr, len;
    if (!gdb_take_hex(&p, &addr) || !gdb_take_char(&p, ',') || !gdb_take_hex(&p, &len) ||
        !gdb_take_char(&p, ':')) {
        error(g, E_BAD);
        return;
    }
    u64 rest = (u64)(g->parser.buf + g->parser.n - p);
    if (binary) {
        if (rest == len)
            store(g, addr, p, len);
        else
            error(g, E_BAD);
    } else if (len > sizeof(buf) || rest != 2 * len || !gdb_take_bytes(&p, buf, len)) {
        error(g, E_BAD);
    } else {
        store(g, addr, buf, len);
    }
}

/* ---- breakpoints --------------------------------------------------------------------------- */
static void breakpoint(struct gdb *g, const char *p, bool insert)
{
    static const enum vm_break_kind kinds[] = {VM_BREAK_SOFT, VM_BREAK_HARD, VM_WATCH_WRITE,
                                               VM_WATCH_READ, VM_WATCH_ACCESS};
    u64 type, addr, len;
    if (!gdb_take_hex(&p, &type) || !gdb_take_char(&p, ',') || !gdb_take_hex(&p, &addr) ||
        !gdb_take_char(&p, ',') || !gdb_take_hex(&p, &len) || (*p && *p != ';')) {
        error(g, E_BAD);
        return;
    }
    if (type >= ARRAY_LEN(kinds))
        return;
    bool watch = type >= 2;
    struct vm_break b = {.kind = kinds[type], .addr = addr, .len = 1};
    struct vm_break phys = {.kind = VM_BREAK_PHYS, .addr = addr, .len = 1};
    if (watch && (len < 1 || len > VM_MAX_WATCH_LEN || g->physical)) {
        error(g, E_BAD);
        return;
    }
    if (watch)
        b.len = (u32)len;
    if (insert) {
        enum status st = vm_debug_insert(g->vm, g->physical ? &phys : &b);
        if (st)
            error(g, st == ST_NOMEM ? E_FULL : E_BAD);
        else
            ok(g);
        return;
    }
    /* it may have been set in the other mode; removing what is not there is fine */
    if (!vm_debug_remove(g->vm, &b) && !watch)
        vm_debug_remove(g->vm, &phys);
    ok(g);
}

/* ---- going on ------------------------------------------------------------------------------ */
static void resume(struct gdb *g, bool step)
{
    g->running = true;
    g->stepping = step;
}

/* c, s: [addr]; C, S: signal[;addr]. Signals mean nothing to a machine. */
static void resume_at(struct gdb *g, const char *p, bool step, bool signal)
{
    u64 v;
    if (signal) {
        if (!gdb_take_hex(&p, &v)) {
            error(g, E_BAD);
            return;
        }
        if (!gdb_take_char(&p, ';'))
            p = "";
    }
    if (gdb_take_hex(&p, &v) && !g->running)
        set_pc(g, v);
    resume(g, step);
}

/* Thread ids: -1 all, 0 any, pPID.TID, TID. True: one of them is vCPU 0. */
static bool take_thread(struct gdb *g, const char **p)
{
    u64 id;
    if (gdb_take_char(p, 'p')) {
        if (gdb_take_char(p, '-') ? !gdb_take_hex(p, &id) : !gdb_take_hex(p, &id))
            return false;
        if (!gdb_take_char(p, '.'))
            return true;
    }
    if (gdb_take_char(p, '-'))
        return gdb_take_hex(p, &id) && id == 1;
    return gdb_take_hex(p, &id) && id <= (u64)vm_debug_vcpus(g->vm);
}

static void v_cont(struct gdb *g, const char *p)
{
    char chosen = 0;
    while (gdb_take_char(&p, ';')) {
        char action = *p ? *p++ : 0;
        u64 signal;
        bool ours = true;
        if (!action || !strchr("cCsSt", action) ||
            ((action == 'C' || action == 'S') && !gdb_take_hex(&p, &signal))) {
            error(g, E_BAD);
            return;
        }
        if (gdb_take_char(&p, ':'))
            ours = take_thread(g, &p);
        if (ours && !chosen)
            chosen = action;
    }
    if (*p || !chosen)
        error(g, E_BAD);
    else if (chosen == 't' && g->running)
        gdb_report(g, (struct vm_debug_stop){.why = VM_DEBUG_INTERRUPT}, SIG_NONE);
    else if (chosen == 't')
        ok(g);
    else
        resume(g, chosen == 's' || chosen == 'S');
}

/* ---- queries ------------------------------------------------------------------------------- */
static void q_supported(struct gdb *g, const char *p)
{
    g->swbreak = strstr(p, "swbreak+");
    g->hwbreak = strstr(p, "hwbreak+");
    gdb_putf(&g->reply, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+",
             GDB_PACKET_MAX);
    if (g->swbreak)
        gdb_puts(&g->reply, ";swbreak+");
    if (g->hwbreak)
        gdb_puts(&g->reply, ";hwbreak+");
}

static void features(struct gdb *g, const char *p)
{
    u64 off, len;
    if (!starts(p, "target.xml:", &p) || !gdb_take_hex(&p, &off) || !gdb_take_char(&p, ',') ||
        !gdb_take_hex(&p, &len) || *p) {
        error(g, "E00");
        return;
    }
    off = MIN(off, g->target.xml_len);
    len = MIN(len, GDB_PACKET_MAX - 1);
    bool more = len < g->target.xml_len - off;
    gdb_puts(&g->reply, more ? "m" : "l");
    gdb_put(&g->reply, g->target.xml + off, more ? len : g->target.xml_len - off);
}

static void monitor(struct gdb *g, const char *p)
{
    char command[1024];
    size_t len = strlen(p) / 2;
    if (strlen(p) % 2 || len >= sizeof(command) || !gdb_take_bytes(&p, command, len)) {
        error(g, E_BAD);
        return;
    }
    command[len] = 0;
    gdb_monitor(g, command);
    g->reply.n = 0;
    ok(g);
}

static void thread_info(struct gdb *g, const char *p)
{
    char text[64];
    u64 id;
    if (!gdb_take_hex(&p, &id) || !id || id > (u64)vm_debug_vcpus(g->vm)) {
        error(g, E_BAD);
        return;
    }
    int n = snprintf(text, sizeof(text), "CPU %d [%s]", (int)id - 1,
                     vm_debug_cpu(g->vm, (int)id - 1).halted ? "halted" : "running");
    gdb_put_hex(&g->reply, text, (size_t)n);
}

static void query(struct gdb *g, const char *p)
{
    const char *rest;
    if (starts(p, "qSupported", &rest)) {
        q_supported(g, rest);
    } else if (starts(p, "qXfer:features:read:", &rest)) {
        features(g, rest);
    } else if (starts(p, "qRcmd,", &rest)) {
        monitor(g, rest);
    } else if (starts(p, "qThreadExtraInfo,", &rest)) {
        thread_info(g, rest);
    } else if (!strcmp(p, "qfThreadInfo")) {
        for (int k = 0; k < vm_debug_vcpus(g->vm); k++)
            gdb_putf(&g->reply, "%c%x", k ? ',' : 'm', k + 1);
    } else if (!strcmp(p, "qsThreadInfo")) {
        gdb_puts(&g->reply, "l");
    } else if (!strcmp(p, "qC")) {
        gdb_puts(&g->reply, "QC1");
    } else if (starts(p, "qAttached", &rest)) {
        gdb_puts(&g->reply, "1");
    } else if (starts(p, "qSymbol", &rest)) {
        ok(g);
    } else if (!strcmp(p, "qqemu.PhyMemMode")) {
        gdb_puts(&g->reply, g->physical ? "1" : "0");
    } else if (starts(p, "Qqemu.PhyMemMode:", &rest)) {
        if (strcmp(rest, "0") && strcmp(rest, "1")) {
            error(g, E_BAD);
        } else {
            g->physical = *rest == '1';
            ok(g);
        }
    }
}

static void v_packet(struct gdb *g, const char *p)
{
    const char *rest;
    if (!strcmp(p, "vCont?")) {
        gdb_puts(&g->reply, "vCont;c;C;s;S;t");
    } else if (starts(p, "vCont", &rest)) {
        v_cont(g, rest);
    } else if (starts(p, "vKill", &rest)) {
        ok(g);
        g->killed = true;
    }
}

static void thread_alive(struct gdb *g, const char *p)
{
    if (take_thread(g, &p) && !*p)
        ok(g);
    else
        error(g, E_BAD);
}

void gdb_packet(struct gdb *g)
{
    const char *p = g->parser.buf, *rest = p + 1;
    bool was_running = g->running, no_ack = false, detach = false;
    g->reply.n = 0;
    g->reply.full = false;
    g->reply.buf[0] = 0;
    switch (*p) {
    case '?':
        put_stop(g);
        break;
    case 'g':
        read_registers(g);
        break;
    case 'G':
        write_registers(g, rest);
        break;
    case 'p':
        read_register(g, rest);
        break;
    case 'P':
        write_register(g, rest);
        break;
    case 'm':
        read_memory(g, rest);
        break;
    case 'M':
    case 'X':
        write_memory(g, rest, *p == 'X');
        break;
    case 'c':
    case 's':
        resume_at(g, rest, *p == 's', false);
        break;
    case 'C':
    case 'S':
        resume_at(g, rest, *p == 'S', true);
        break;
    case 'Z':
    case 'z':
        breakpoint(g, rest, *p == 'Z');
        break;
    case 'H':
        if (*rest)
            rest++;
        thread_alive(g, rest);
        break;
    case 'T':
        thread_alive(g, rest);
        break;
    case 'D':
        ok(g);
        detach = true;
        break;
    case 'k':
        g->killed = true;
        return;
    case 'v':
        v_packet(g, p);
        break;
    case 'q':
        query(g, p);
        break;
    case 'Q':
        if (!strcmp(p, "QStartNoAckMode")) {
            ok(g);
            no_ack = true;
        } else {
            query(g, p);
        }
        break;
    default:
        break;
    }
    /* Resuming is answered by the next stop, and an error of it at once. A stop was answered. */
    bool resumed = g->running && !was_running, stopped = was_running && !g->running;
    if (!resumed && !stopped) {
        if (g->reply.full)
            error(g, E_BAD);
        gdb_send(g);
    }
    g->no_ack = g->no_ack || no_ack;
    if (detach)
        gdb_hang_up(g);
}
