/*
 * frontends/check/masks.c - which bits of FLAGS count; what a suite's folder says of its tests.
 */
#include "frontends/check/check_priv.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_REVOKED = 100000 };

struct suite {
    u16 mask[256][8]; /* metadata.json's, by opcode and reg */
    bool has_masks;
    u8 (*revoked)[20];
    u32 n_revoked;
};

enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800 };
static const struct undefined {
    char cpu[8];
    u16 first, last;
    i8 reg;
    int exception;
    u16 flags;
} table[] = {
#define UNDEFINED(cpu, first, last, reg, ex, flags) {cpu, first, last, reg, ex, flags},
#include "frontends/check/masks.def"
#undef UNDEFINED
    {"", 1, 0, 0, 0, 0},
};

int vector_opcode(const struct vector *v, int *reg)
{
    int k = 0, op;
    bool late = v->bits != 16; /* REX */
    static const u8 prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0xf0, 0xf2, 0xf3};
    while (k < v->len &&
           (memchr(prefix, v->bytes[k], sizeof(prefix)) || (v->bytes[k] == 0xf1 && !late) ||
            (v->bytes[k] >> 2 == 0x64 >> 2 && late) ||
            (v->bits == 64 && (v->bytes[k] & 0xf0) == 0x40)))
        k++;
    *reg = 0;
    if (k == v->len)
        return -1;
    op = v->bytes[k++];
    if (op == 0x0f && k < v->len)
        op = 0xf00 | v->bytes[k++];
    if (k < v->len)
        *reg = v->bytes[k] >> 3 & 7;
    return op;
}

u16 flags_mask(const struct suite *s, const char *cpu, const struct vector *v)
{
    int reg, op = vector_opcode(v, &reg);
    u16 mask = 0xffff;
    if (v->mask.have >> VREG_RFLAGS & 1)
        return (u16)v->mask.reg[VREG_RFLAGS];
    if (op < 0)
        return mask;
    if (s && s->has_masks && op < 256)
        return s->mask[op][reg];
    for (const struct undefined *u = table; u->cpu[0]; u++)
        if (op >= u->first && op <= u->last && (u->reg < 0 || u->reg == reg) &&
            (u->exception < 0 || u->exception == v->ex.number) && !strcmp(u->cpu, cpu))
            mask &= (u16)~u->flags;
    return mask;
}

/* ---- files beside the vectors --------------------------------------------------------------- */
static void load_revoked(struct suite *s, const char *dir)
{
    char path[4096], line[256];
    snprintf(path, sizeof(path), "%s/revocation_list.txt", dir);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f) && s->n_revoked < MAX_REVOKED) {
        u8 hash[20];
        int k = 0;
        for (unsigned byte; k < 20 && sscanf(line + 2 * k, "%2x", &byte) == 1; k++)
            hash[k] = (u8)byte;
        if (k < 20)
            continue;
        if (!(s->n_revoked & (s->n_revoked - 1))) {
            void *p = realloc(s->revoked, MAX(s->n_revoked * 2, 16u) * sizeof(hash));
            if (!p)
                break;
            s->revoked = p;
        }
        memcpy(s->revoked[s->n_revoked++], hash, 20);
    }
    if (f)
        fclose(f);
}

static void load_masks(struct suite *s, const char *dir)
{
    char path[4096];
    static const size_t max = 1 << 20;
    snprintf(path, sizeof(path), "%s/metadata.json", dir);
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(max) : NULL;
    if (text) {
        size_t n = fread(text, 1, max, f);
        memset(s->mask, 0xff, sizeof(s->mask));
        s->has_masks = json_masks(text, n, s->mask);
        free(text);
    }
    if (f)
        fclose(f);
}

struct suite *suite_open(const char *dir)
{
    struct suite *s = calloc(1, sizeof(*s));
    if (s) {
        load_revoked(s, dir);
        load_masks(s, dir);
    }
    return s;
}

void suite_close(struct suite *s)
{
    if (s)
        free(s->revoked);
    free(s);
}

bool suite_revoked(const struct suite *s, const struct vector *v)
{
    for (u32 k = 0; v->has_hash && k < s->n_revoked; k++)
        if (!memcmp(s->revoked[k], v->hash, 20))
            return true;
    return false;
}

/* ---- known failures ------------------------------------------------------------------------- */
struct exceptions {
    struct known {
        char file[64], which[44];
    } * list;
    u32 n, cap;
};

enum status exceptions_open(const char *path, struct exceptions **out, struct error *err)
{
    struct exceptions *e = calloc(1, sizeof(*e));
    FILE *f = e ? fopen(path, "re") : NULL;
    char line[1024];
    u32 number = 0;
    enum status st = ST_OK;
    if (!f) {
        free(e);
        return fail(err, ST_NOENT, "%s: cannot read it", path);
    }
    while (st == ST_OK && fgets(line, sizeof(line), f)) {
        struct known k;
        char reason[8];
        number++;
        if (line[strspn(line, " \t\r\n")] == 0 || line[0] == '#')
            continue;
        if (sscanf(line, "%63s %43s %7s", k.file, k.which, reason) != 3) {
            st = fail(err, ST_FORMAT, "%s:%u: wants FILE NUMBER-OR-HASH REASON", path, number);
            break;
        }
        if (e->n == e->cap) {
            e->cap = e->cap ? e->cap * 2 : 64;
            struct known *p = realloc(e->list, e->cap * sizeof(*p));
            if (!p) {
                st = fail(err, ST_NOMEM, "out of memory");
                break;
            }
            e->list = p;
        }
        e->list[e->n++] = k;
    }
    fclose(f);
    if (st != ST_OK) {
        exceptions_close(e);
        return st;
    }
    *out = e;
    return ST_OK;
}

void exceptions_close(struct exceptions *e)
{
    if (e)
        free(e->list);
    free(e);
}

/* file: the end of the path, whole components. */
static bool names(const char *path, const char *file)
{
    size_t n = strlen(path), m = strlen(file);
    return m <= n && !strcmp(path + n - m, file) && (m == n || path[n - m - 1] == '/');
}

bool exceptions_has(const struct exceptions *e, const char *path, u32 n, const struct vector *v)
{
    char number[16], hash[41] = "";
    snprintf(number, sizeof(number), "%u", n);
    for (int k = 0; v->has_hash && k < 20; k++)
        snprintf(hash + 2 * k, 3, "%02x", v->hash[k]);
    for (u32 k = 0; e && k < e->n; k++)
        if ((!strcmp(e->list[k].which, number) || (hash[0] && !strcmp(e->list[k].which, hash))) &&
            names(path, e->list[k].file))
            return true;
    return false;
}
