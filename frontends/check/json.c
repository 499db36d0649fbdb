/*
 * frontends/check/json.c - vectors as JSON: the public suites' layout, with our additions
 * (docs/vector-format.md).
 *
 * A file is an array of objects. Indexing only finds where each begins and ends; a test is parsed
 * when it is read, by recursive descent over the keys we know. Nothing recurses deeper than
 * MAX_DEPTH.
 */
#include "frontends/check/vector_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16 };

struct in {
    const char *p, *end;
    const char *bad; /* what was wrong first; NULL: nothing */
};

static bool oops(struct in *s, const char *what)
{
    if (!s->bad)
        s->bad = what;
    s->p = s->end;
    return false;
}

static void space(struct in *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* Takes c if it comes next. */
static bool take(struct in *s, char c)
{
    space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* A string's characters into out, cut to fit; \u escapes become '?'. */
static bool string(struct in *s, char *out, size_t size)
{
    size_t n = 0;
    if (!take(s, '"'))
        return oops(s, "string");
    while (s->p < s->end && *s->p != '"') {
        char c = *s->p++;
        if (c == '\\') {
            if (s->p == s->end)
                break;
            c = *s->p++;
            if (c == 'u') {
                s->p += MIN(4, s->end - s->p);
                c = '?';
            } else if (c != '"' && c != '\\' && c != '/') {
                c = ' ';
            }
        }
        if (n + 1 < size)
            out[n++] = (u8)c < 0x20 || (u8)c >= 0x7f ? '?' : c;
    }
    if (size)
        out[n] = 0;
    return s->p < s->end ? (s->p++, true) : oops(s, "string");
}

/* A number, or a string that holds one ("0x..."): JSON numbers beyond 2^53 are not safe. */
static bool number(struct in *s, u64 *v)
{
    char text[32], *end;
    space(s);
    if (s->p < s->end && *s->p == '"') {
        if (!string(s, text, sizeof(text)))
            return false;
    } else {
        size_t n = 0;
        while (s->p < s->end && n + 1 < sizeof(text) &&
               ((*s->p >= '0' && *s->p <= '9') || *s->p == '-'))
            text[n++] = *s->p++;
        text[n] = 0;
    }
    *v = strtoull(text, &end, 0);
    return end != text && !*end ? true : oops(s, "number");
}

static bool skip_value(struct in *s)
{
    char none[1];
    int depth = 0;
    do {
        space(s);
        if (s->p == s->end)
            return oops(s, "end");
        if (*s->p == '"') {
            if (!string(s, none, 0))
                return false;
            continue;
        }
        char c = *s->p++;
        if (c == '[' || c == '{')
            depth++;
        else if (c == ']' || c == '}')
            depth--;
        else if (!depth)
            while (s->p < s->end && !strchr(",]} \t\r\n", *s->p))
                s->p++;
        if (depth > MAX_DEPTH)
            return oops(s, "nesting");
    } while (depth > 0);
    return depth == 0 ? true : oops(s, "brackets");
}

/* Steps through an object: true with the key of the next member, its value next. */
static bool member(struct in *s, bool *first, char *key, size_t size)
{
    if (*first ? !take(s, '{') : take(s, '}')) {
        if (*first)
            oops(s, "object");
        return false;
    }
    if (*first && take(s, '}'))
        return false;
    if (!*first && !take(s, ','))
        return oops(s, "object");
    *first = false;
    return string(s, key, size) && (take(s, ':') || oops(s, "object"));
}

/* The same through an array: true if an element comes next. */
static bool element(struct in *s, bool *first)
{
    if (*first ? !take(s, '[') : take(s, ']')) {
        if (*first)
            oops(s, "array");
        return false;
    }
    if (*first && take(s, ']'))
        return false;
    if (!*first && !take(s, ','))
        return oops(s, "array");
    *first = false;
    return s->p < s->end;
}

static int reg_of(const char *name)
{
    static const int widths[] = {16, 32, 64};
    for (size_t w = 0; w < ARRAY_LEN(widths); w++)
        for (int r = 0; r < VREG_COUNT; r++)
            if (!strcmp(name, vector_reg_name(r, widths[w])))
                return r;
    return -1;
}

static void read_regs(struct in *s, u32 *have, u64 *reg)
{
    char key[32];
    u64 v;
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        int r = reg_of(key);
        if (r < 0) {
            skip_value(s);
        } else if (number(s, &v)) {
            *have |= 1u << r;
            reg[r] = v;
        }
    }
}

static void read_ram(struct in *s, struct vector_state *st)
{
    u64 a = 0, v = 0;
    for (bool first = true; element(s, &first);) {
        if (!take(s, '[') || !number(s, &a) || !take(s, ',') || !number(s, &v) || !take(s, ']'))
            oops(s, "memory cell");
        else if (!vector_add_cell(st, a, (u8)v))
            oops(s, "number of memory cells");
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* [[offset, "hex digits"], ...] over image. */
static void read_image(struct in *s, u8 *image)
{
    char text[2 * CPU_XSAVE_SIZE + 2];
    u64 off;
    for (bool first = true; element(s, &first);) {
        if (!take(s, '[') || !number(s, &off) || !take(s, ',') || !string(s, text, sizeof(text)) ||
            !take(s, ']')) {
            oops(s, "xsave");
            return;
        }
        for (const char *p = text; *p; p += 2, off++) {
            int hi = hex(p[0]), lo = hi < 0 ? -1 : hex(p[1]);
            if (lo < 0 || off >= CPU_XSAVE_SIZE) {
                oops(s, "xsave");
                return;
            }
            image[off] = (u8)(hi << 4 | lo);
        }
    }
}

static void read_state(struct in *s, struct vector_state *st)
{
    char key[32];
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        if (!strcmp(key, "regs")) {
            read_regs(s, &st->have, st->reg);
        } else if (!strcmp(key, "ram")) {
            read_ram(s, st);
        } else if (!strcmp(key, "xsave")) {
            st->has_xsave = true;
            read_image(s, st->xsave);
        } else {
            skip_value(s);
        }
    }
}

static void read_mask(struct in *s, struct vector_mask *m)
{
    char key[32];
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        if (!strcmp(key, "regs")) {
            read_regs(s, &m->have, m->reg);
        } else if (!strcmp(key, "xsave")) {
            m->has_xsave = true;
            memset(m->xsave, 0xff, sizeof(m->xsave));
            read_image(s, m->xsave);
        } else {
            skip_value(s);
        }
    }
}

static void read_exception(struct in *s, struct vector_exception *ex)
{
    char key[32];
    u64 v = 0;
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        if (!strcmp(key, "number")) {
            if (number(s, &v))
                ex->number = (u8)v;
        } else if (!strcmp(key, "flag_address")) {
            ex->has_flags_addr = number(s, &ex->flags_addr);
        } else if (!strcmp(key, "error")) {
            ex->has_error = number(s, &v);
            ex->error = (u32)v;
        } else if (!strcmp(key, "fault_address")) {
            ex->has_fault_addr = number(s, &ex->fault_addr);
        } else {
            skip_value(s);
        }
    }
}

static void read_bytes(struct in *s, struct vector *v)
{
    u64 b = 0;
    for (bool first = true; element(s, &first) && number(s, &b);) {
        if (v->len == VECTOR_BYTES)
            oops(s, "number of instruction bytes");
        else
            v->bytes[v->len++] = (u8)b;
    }
}

static void read_hash(struct in *s, struct vector *v)
{
    char text[48];
    if (!string(s, text, sizeof(text)) || strlen(text) != 40)
        return;
    v->has_hash = true;
    for (int k = 0; k < 40; k += 2) {
        int hi = hex(text[k]), lo = hex(text[k + 1]);
        if (hi < 0 || lo < 0)
            v->has_hash = false;
        else
            v->hash[k / 2] = (u8)(hi << 4 | lo);
    }
}

/* meta, if any: gets what the file says of itself. */
static void read_test(struct in *s, struct vector *v, struct vector_meta *meta)
{
    char key[32], word[32];
    bool saw[2] = {false};
    u64 n;
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        if (!strcmp(key, "name")) {
            string(s, v->name, sizeof(v->name));
        } else if (!strcmp(key, "bytes")) {
            read_bytes(s, v);
        } else if (!strcmp(key, "initial")) {
            saw[0] = true;
            read_state(s, &v->init);
        } else if (!strcmp(key, "final")) {
            /* what is left out is as before: the initial state comes first in every writer */
            saw[1] = true;
            memcpy(v->final.xsave, v->init.xsave, sizeof(v->final.xsave));
            read_state(s, &v->final);
        } else if (!strcmp(key, "mask")) {
            read_mask(s, &v->mask);
        } else if (!strcmp(key, "exception")) {
            read_exception(s, &v->ex);
        } else if (!strcmp(key, "hash")) {
            read_hash(s, v);
        } else if (!strcmp(key, "idx")) {
            if (number(s, &n))
                v->index = (u32)n;
        } else if (!strcmp(key, "mode")) {
            if (number(s, &n))
                v->bits = n == 16 || n == 32 || n == 64 ? (int)n : (oops(s, "mode"), 16);
        } else if (!strcmp(key, "env")) {
            string(s, word, sizeof(word));
            v->env = !strcmp(word, "real")   ? VENV_REAL
                     : !strcmp(word, "user") ? VENV_USER
                                             : VENV_OTHER;
        } else if (!strcmp(key, "cpu") && meta) {
            string(s, meta->cpu, sizeof(meta->cpu));
        } else if (!strcmp(key, "processor") && meta) {
            string(s, meta->cpu_name, sizeof(meta->cpu_name));
        } else {
            skip_value(s);
        }
    }
    if (!s->bad && (!saw[0] || !saw[1]))
        oops(s, saw[0] ? "final state (there is none)" : "initial state (there is none)");
}

static enum status parse(const struct vector_file *f, u32 k, struct vector *v,
                         struct vector_meta *meta, struct error *err)
{
    const char *p = (const char *)f->data + f->tests[k].at;
    struct in s = {p, p + f->tests[k].len, NULL};
    memset(v->init.xsave, 0, sizeof(v->init.xsave));
    read_test(&s, v, meta);
    if (s.bad)
        return fail(err, ST_FORMAT, "%s: test %u: bad %s", f->name, k, s.bad);
    return ST_OK;
}

enum status json_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err)
{
    return parse(f, k, v, NULL, err);
}

enum status json_index(struct vector_file *f, struct error *err)
{
    struct in s = {(const char *)f->data, (const char *)f->data + f->size, NULL};
    for (bool first = true; element(&s, &first);) {
        space(&s);
        const char *at = s.p;
        if (at == s.end || *at != '{')
            oops(&s, "test (no object)");
        else if (skip_value(&s) &&
                 !vector_add_test(f, (size_t)(at - (char *)f->data), (size_t)(s.p - at)))
            return fail(err, ST_NOMEM, "%s: out of memory", f->name);
    }
    if (s.bad)
        return fail(err, ST_FORMAT, "%s: after %u tests: bad %s", f->name, f->n_tests, s.bad);
    /* the public layout has no heading: what is common to all is taken from the first */
    if (f->n_tests) {
        struct vector v;
        vector_init(&v);
        v.bits = 16;
        enum status st = parse(f, 0, &v, &f->meta, err);
        f->meta.bits = v.bits;
        f->meta.env = v.env;
        vector_free(&v);
        return st;
    }
    return ST_OK;
}

/* ---- metadata.json -------------------------------------------------------------------------- */
static void read_masks(struct in *s, u16 *mask, int reg)
{
    char key[32];
    u64 v;
    for (bool first = true; member(s, &first, key, sizeof(key));) {
        if (!strcmp(key, "flags-mask")) {
            if (number(s, &v))
                for (int r = 0; r < 8; r++)
                    if (reg < 0 || r == reg)
                        mask[r] = (u16)v;
        } else if (!strcmp(key, "reg") && reg < 0) {
            for (bool one = true; member(s, &one, key, sizeof(key));)
                read_masks(s, mask, key[0] & 7);
        } else {
            skip_value(s);
        }
    }
}

bool json_masks(const char *text, size_t len, u16 mask[256][8])
{
    struct in s = {text, text + len, NULL};
    char key[32];
    bool found = false;
    for (bool first = true; member(&s, &first, key, sizeof(key));) {
        if (strcmp(key, "opcodes")) {
            skip_value(&s);
            continue;
        }
        found = true;
        for (bool one = true; member(&s, &one, key, sizeof(key));) {
            unsigned long op = strtoul(key, NULL, 16);
            if (strlen(key) == 2 && op < 256)
                read_masks(&s, mask[op], -1);
            else
                skip_value(&s);
        }
    }
    return found && !s.bad;
}

/* ---- writing -------------------------------------------------------------------------------- */
static void put_number(struct buf *b, u64 v)
{
    if (v >> 53)
        buf_text(b, "\"0x%llx\"", (unsigned long long)v);
    else
        buf_text(b, "%llu", (unsigned long long)v);
}

static void put_regs(struct buf *b, int bits, u32 have, const u64 *reg)
{
    const char *sep = "";
    buf_text(b, "\"regs\": {");
    for (int r = 0; r < VREG_COUNT; r++) {
        if (!(have >> r & 1))
            continue;
        buf_text(b, "%s\"%s\": ", sep, vector_reg_name(r, bits));
        put_number(b, reg[r]);
        sep = ", ";
    }
    buf_text(b, "}");
}

static void put_image(struct buf *b, const u8 *image, const u8 *base)
{
    const char *sep = "";
    buf_text(b, ", \"xsave\": [");
    for (u32 k = 0; k < CPU_XSAVE_SIZE; k++) {
        if (image[k] == base[k])
            continue;
        buf_text(b, "%s[%u, \"", sep, k);
        for (; k < CPU_XSAVE_SIZE && image[k] != base[k]; k++)
            buf_text(b, "%02x", image[k]);
        buf_text(b, "\"]");
        sep = ", ";
    }
    buf_text(b, "]");
}

static void put_state(struct buf *b, int bits, const struct vector_state *s, const u8 *base)
{
    buf_text(b, "{");
    put_regs(b, bits, s->have, s->reg);
    buf_text(b, ", \"ram\": [");
    for (u32 k = 0; k < s->n_cells; k++) {
        buf_text(b, k ? ", [" : "[");
        put_number(b, s->cells[k].addr);
        buf_text(b, ", %u]", s->cells[k].value);
    }
    buf_text(b, "]");
    if (s->has_xsave)
        put_image(b, s->xsave, base);
    buf_text(b, "}");
}

static void put_string(struct buf *b, const char *p)
{
    buf_u8(b, '"');
    for (; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_u8(b, '\\');
        buf_u8(b, (u8)*p < 0x20 ? '?' : (u8)*p);
    }
    buf_u8(b, '"');
}

void json_put_test(struct buf *b, const struct vector_meta *m, const struct vector *v, bool first)
{
    static const u8 zero[CPU_XSAVE_SIZE];
    buf_text(b, "{\"idx\": %u, \"name\": ", v->index);
    put_string(b, v->name);
    if (m->cpu[0]) {
        buf_text(b, ", \"cpu\": ");
        put_string(b, m->cpu);
    }
    if (first && m->cpu_name[0]) {
        buf_text(b, ", \"processor\": ");
        put_string(b, m->cpu_name);
    }
    if (v->bits != 16 || v->env != VENV_REAL)
        buf_text(b, ", \"mode\": %d, \"env\": \"%s\"", v->bits,
                 v->env == VENV_REAL   ? "real"
                 : v->env == VENV_USER ? "user"
                                       : "other");
    buf_text(b, ", \"bytes\": [");
    for (int k = 0; k < v->len; k++)
        buf_text(b, k ? ", %u" : "%u", v->bytes[k]);
    buf_text(b, "],\n \"initial\": ");
    put_state(b, v->bits, &v->init, zero);
    buf_text(b, ",\n \"final\": ");
    put_state(b, v->bits, &v->final, v->init.has_xsave ? v->init.xsave : zero);
    if (v->mask.have || v->mask.has_xsave) {
        u8 all[CPU_XSAVE_SIZE];
        memset(all, 0xff, sizeof(all));
        buf_text(b, ",\n \"mask\": {");
        put_regs(b, v->bits, v->mask.have, v->mask.reg);
        if (v->mask.has_xsave)
            put_image(b, v->mask.xsave, all);
        buf_text(b, "}");
    }
    if (v->ex.number >= 0) {
        buf_text(b, ",\n \"exception\": {\"number\": %d", v->ex.number);
        if (v->ex.has_flags_addr) {
            buf_text(b, ", \"flag_address\": ");
            put_number(b, v->ex.flags_addr);
        }
        if (v->ex.has_error)
            buf_text(b, ", \"error\": %u", v->ex.error);
        if (v->ex.has_fault_addr) {
            buf_text(b, ", \"fault_address\": ");
            put_number(b, v->ex.fault_addr);
        }
        buf_text(b, "}");
    }
    if (v->has_hash) {
        buf_text(b, ",\n \"hash\": \"");
        for (int k = 0; k < 20; k++)
            buf_text(b, "%02x", v->hash[k]);
        buf_text(b, "\"");
    }
    buf_text(b, "}");
}
