/*
 * frontends/trace/bare.c - --flat, --elf, --org, --mode, --regs: a program alone in memory.
 */
#include "frontends/trace/trace_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct trace_bare {
    struct vm_bare b;
};

static enum status slurp(const char *option, const char *path, u8 **data, u64 *size,
                         struct error *err)
{
    enum { MAX_PROGRAM = 256 << 20 };
    FILE *f = fopen(path, "rbe");
    if (!f)
        return fail(err, status_from_errno(errno), "%s: %s: %s", option, path, strerror(errno));
    u8 *buf = malloc(65536);
    u64 n = 0, room = 65536;
    size_t got;
    while (buf && n < MAX_PROGRAM && (got = fread(buf + n, 1, room - n, f)) > 0) {
        n += got;
        if (n == room) {
            u8 *p = realloc(buf, room *= 2);
            if (!p)
                free(buf);
            buf = p;
        }
    }
    bool bad = ferror(f);
    fclose(f);
    if (!buf)
        return fail(err, ST_NOMEM, "out of memory");
    if (bad || !n || n >= MAX_PROGRAM) {
        free(buf);
        return fail(err, ST_FORMAT, "%s: %s: %s", option, path,
                    bad ? strerror(EIO)
                    : n ? "too large"
                        : "is empty");
    }
    *data = buf;
    *size = n;
    return ST_OK;
}

static enum status parse_regs(const char *text, struct vm_bare *b, struct error *err)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    char *copy = strdup(text), *list = copy, *key, *value;
    enum status st = copy ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    while (!st && next_pair(&list, &key, &value)) {
        u64 v;
        int reg = -1;
        for (int k = 0; k < 16; k++)
            if (!strcasecmp(key, names[k]) ||
                (k < 8 && ((key[0] | 32) == 'e') && !strcasecmp(key + 1, names[k] + 1)) ||
                (k < 8 && !strcasecmp(key, names[k] + 1)))
                reg = k;
        bool rip = !strcasecmp(key, "rip") || !strcasecmp(key, "eip") || !strcasecmp(key, "ip");
        if (reg < 0 && !rip)
            st = fail(err, ST_INVAL, "--regs: no register '%s'", key);
        else if (!value || !parse_number(value, ~0ull, &v))
            st = fail(err, ST_INVAL, "--regs: %s wants a number", key);
        else if (rip)
            b->entry = v;
        else {
            b->gpr[reg] = v;
            b->gpr_set |= (u16)(1u << reg);
        }
    }
    free(copy);
    return st;
}

enum status trace_bare_parse(const struct trace_options *o, struct trace_bare **out,
                             struct error *err)
{
    u8 *data = NULL;
    u64 v;
    *out = NULL;
    if (!o->flat && !o->elf)
        return ST_OK;
    struct trace_bare *t = calloc(1, sizeof(*t));
    if (!t)
        return fail(err, ST_NOMEM, "out of memory");
    t->b.bits = 64;
    t->b.org = 0x1000;
    t->b.elf = o->elf;
    enum status st = ST_OK;
    if (o->mode) {
        if (!parse_number(o->mode, 64, &v) || (v != 16 && v != 32 && v != 64))
            st = fail(err, ST_INVAL, "--mode: '%s' is none of 16, 32, 64", o->mode);
        else
            t->b.bits = (int)v;
    }
    if (!st && o->org && !parse_number(o->org, ~0ull, &t->b.org))
        st = fail(err, ST_INVAL, "--org: '%s' is no number", o->org);
    t->b.entry = t->b.org;
    if (!st)
        st = slurp(o->elf ? "--elf" : "--flat", o->elf ? o->elf : o->flat, &data, &t->b.size, err);
    t->b.image = data;
    if (!st && o->elf)
        t->b.entry = 0;
    if (!st && o->regs)
        st = parse_regs(o->regs, &t->b, err);
    if (st) {
        trace_bare_free(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void trace_bare_configure(const struct trace_bare *b, struct vm_config *cfg)
{
    cfg->bare = &b->b;
    cfg->no_reboot = true;
}

void trace_bare_free(struct trace_bare *b)
{
    if (!b)
        return;
    free((void *)(uintptr_t)b->b.image);
    free(b);
}
