/*
 * frontends/trace/text.c - one line an instruction, from a running machine: text, JSON lines and
 * the text format of the Tenet trace viewer.
 *
 * The machine tells of single instructions before they run (vm_tracer.single). What one changed is
 * known when the next begins, or an event comes between; so each line is written one step late.
 */
#include "frontends/trace/trace_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PENDING = 64, ROOM = 1024 };

struct line_def {
    struct vm_trace_block b;
    char *text; /* disassembly; NULL: not yet */
};

struct trace_text {
    FILE *f;
    enum trace_style style;
    bool vectors;
    const struct symbols *syms;
    struct trace_disasm dis;
    struct vm *vm;
    struct line_def *defs;
    u32 n_defs, room;

    /* the instruction that is running */
    bool pending, first;
    u32 id;
    u64 count;
    struct vm_trace_regs before, shown; /* shown: Tenet's line before */
    struct vm_trace_vectors vec;        /* before; with `vectors` */
    struct vm_trace_access acc[VM_TRACE_ACCESSES];
    u8 read[VM_TRACE_ACCESSES][64];
    bool read_ok[VM_TRACE_ACCESSES];
    int n_acc;
    char *events; /* what it did, ROOM bytes */
    size_t events_len;
};

static const char *const names64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const names32[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
static const char *const names_seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};

struct trace_text *trace_text_new(FILE *f, enum trace_style style, const struct symbols *syms,
                                  bool att, bool vectors)
{
    struct trace_text *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->f = f;
    t->style = style;
    t->vectors = vectors && style != STYLE_TENET;
    t->syms = syms;
    t->first = true;
    t->events = malloc(ROOM);
    if (!t->events || !trace_disasm_open(&t->dis, att)) {
        trace_text_free(t);
        return NULL;
    }
    return t;
}

void trace_text_vm(struct trace_text *t, struct vm *vm)
{
    t->vm = vm;
}

static void free_defs(struct trace_text *t)
{
    for (u32 k = 0; k < t->n_defs; k++)
        free(t->defs[k].text);
    t->n_defs = 0;
}

static const char *disassembled(struct trace_text *t, struct line_def *d)
{
    char text[DISASM_TEXT];
    if (!d->text) {
        disasm_one(trace_disasm(&t->dis, d->b.bits), d->b.bytes, d->b.len, d->b.rip, text,
                   sizeof(text));
        d->text = strdup(text);
    }
    return d->text ? d->text : "";
}

static void put_hex(FILE *f, const u8 *p, int n)
{
    for (int k = 0; k < n; k++)
        fprintf(f, "%02x", p[k]);
}

/* A value of 1 to 8 bytes as a number, longer ones as bytes. */
static void put_value(FILE *f, const u8 *p, int n)
{
    u64 v = 0;
    if (n > 8) {
        put_hex(f, p, n);
        return;
    }
    memcpy(&v, p, (size_t)n);
    fprintf(f, "0x%" PRIx64, v);
}

/* ---- text ----------------------------------------------------------------------------------- */
static const char *gpr_name(int bits, int k)
{
    return bits == 64 || k >= 8 ? names64[k] : names32[k];
}

/* Calls put for each vector register that changed: its name and its bytes, the highest first, 16 of
 * an XMM register whose upper half is as it was. */
static void changed_vectors(struct trace_text *t,
                            void (*put)(struct trace_text *t, const char *name, const u8 *p, int n,
                                        const char **sep),
                            const char **sep)
{
    struct vm_trace_vectors now;
    char name[8];
    u8 value[32];
    vm_trace_get_vectors(t->vm, &now);
    for (int k = 0; k < 16; k++) {
        bool high = memcmp(now.high[k], t->vec.high[k], 16) != 0;
        if (!high && !memcmp(now.low[k], t->vec.low[k], 16))
            continue;
        for (int j = 0; j < 16; j++) {
            value[j] = now.high[k][15 - j];
            value[16 + j] = now.low[k][15 - j];
        }
        snprintf(name, sizeof(name), "%cmm%d", high ? 'y' : 'x', k);
        put(t, name, high ? value : value + 16, high ? 32 : 16, sep);
    }
}

static void text_vector(struct trace_text *t, const char *name, const u8 *p, int n,
                        const char **sep)
{
    fprintf(t->f, "%s %s=", *sep, name);
    put_hex(t->f, p, n);
    *sep = "";
}

static void json_vector(struct trace_text *t, const char *name, const u8 *p, int n,
                        const char **sep)
{
    fprintf(t->f, "%s\"%s\":\"0x", *sep, name);
    put_hex(t->f, p, n);
    fputc('"', t->f);
    *sep = ",";
}

static void text_line(struct trace_text *t, struct line_def *d, const struct vm_trace_regs *now)
{
    const struct vm_trace_regs *was = &t->before;
    char name[300];
    if (*symbols_text(t->syms, d->b.lin, name, sizeof(name)) && !strchr(name, '+'))
        fprintf(t->f, "%s:\n", name);
    fprintf(t->f, "%10" PRIu64 " %04x:%0*" PRIx64 " ", t->count, was->seg[1],
            d->b.bits == 64   ? 16
            : d->b.bits == 32 ? 8
                              : 4,
            d->b.rip);
    put_hex(t->f, d->b.bytes, d->b.len);
    fprintf(t->f, "%*s %-36s", MAX(0, 20 - 2 * d->b.len), "", disassembled(t, d));
    const char *sep = " ;";
    for (int k = 0; now && k < 16; k++) {
        if (now->gpr[k] != was->gpr[k]) {
            fprintf(t->f, "%s %s=%" PRIx64, sep, gpr_name(d->b.bits, k), now->gpr[k]);
            sep = "";
        }
    }
    for (int k = 0; now && k < 6; k++) {
        if (now->seg[k] != was->seg[k]) {
            fprintf(t->f, "%s %s=%04x", sep, names_seg[k], now->seg[k]);
            sep = "";
        }
    }
    if (now && now->rflags != was->rflags) {
        fprintf(t->f, "%s fl=%" PRIx64, sep, now->rflags);
        sep = "";
    }
    if (now && t->vectors)
        changed_vectors(t, text_vector, &sep);
    for (int k = 0; k < t->n_acc; k++) {
        const struct vm_trace_access *a = &t->acc[k];
        u8 after[64];
        if (a->read && t->read_ok[k]) {
            fprintf(t->f, "%s r[%" PRIx64 "]=", sep, a->addr);
            put_value(t->f, t->read[k], a->size);
            sep = "";
        }
        if (a->write && vm_peek(t->vm, a->addr, after, a->size)) {
            fprintf(t->f, "%s w[%" PRIx64 "]=", sep, a->addr);
            put_value(t->f, after, a->size);
            sep = "";
        }
    }
    fputc('\n', t->f);
    fwrite(t->events, 1, t->events_len, t->f);
}

/* ---- JSON lines ----------------------------------------------------------------------------- */
/* Disassembly and symbol names hold nothing that needs an escape but these. */
static void json_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fputc('\\', f);
        if ((unsigned char)*s >= ' ')
            fputc(*s, f);
    }
    fputc('"', f);
}

static void json_access(struct trace_text *t, bool write)
{
    const char *sep = "";
    bool any = false;
    for (int k = 0; k < t->n_acc; k++) {
        const struct vm_trace_access *a = &t->acc[k];
        u8 after[64];
        if (write ? !a->write || !vm_peek(t->vm, a->addr, after, a->size)
                  : !a->read || !t->read_ok[k])
            continue;
        if (!any)
            fprintf(t->f, ",\"%s\":[", write ? "write" : "read");
        any = true;
        fprintf(t->f, "%s{\"addr\":\"0x%" PRIx64 "\",\"bytes\":\"", sep, a->addr);
        put_hex(t->f, write ? after : t->read[k], a->size);
        fprintf(t->f, "\"}");
        sep = ",";
    }
    if (any)
        fputc(']', t->f);
}

static void json_line(struct trace_text *t, struct line_def *d, const struct vm_trace_regs *now)
{
    const struct vm_trace_regs *was = &t->before;
    const char *sep = "";
    char name[300];
    fprintf(t->f,
            "{\"count\":%" PRIu64 ",\"cs\":%u,\"rip\":\"0x%" PRIx64 "\",\"lin\":\"0x%" PRIx64
            "\",\"cpl\":%u,\"bits\":%u,\"bytes\":\"",
            t->count, was->seg[1], d->b.rip, d->b.lin, was->cpl, d->b.bits);
    put_hex(t->f, d->b.bytes, d->b.len);
    fprintf(t->f, "\",\"insn\":");
    json_text(t->f, disassembled(t, d));
    if (*symbols_text(t->syms, d->b.lin, name, sizeof(name))) {
        fprintf(t->f, ",\"sym\":");
        json_text(t->f, name);
    }
    fprintf(t->f, ",\"regs\":{");
    for (int k = 0; now && k < 16; k++) {
        if (now->gpr[k] != was->gpr[k] || t->first) {
            fprintf(t->f, "%s\"%s\":\"0x%" PRIx64 "\"", sep, names64[k], now->gpr[k]);
            sep = ",";
        }
    }
    for (int k = 0; now && k < 6; k++) {
        if (now->seg[k] != was->seg[k] || t->first) {
            fprintf(t->f, "%s\"%s\":\"0x%x\"", sep, names_seg[k], now->seg[k]);
            sep = ",";
        }
    }
    if (now && (now->rflags != was->rflags || t->first)) {
        fprintf(t->f, "%s\"rflags\":\"0x%" PRIx64 "\"", sep, now->rflags);
        sep = ",";
    }
    if (now && t->vectors)
        changed_vectors(t, json_vector, &sep);
    fputc('}', t->f);
    json_access(t, false);
    json_access(t, true);
    fprintf(t->f, "}\n");
    fwrite(t->events, 1, t->events_len, t->f);
}

/* ---- Tenet: changed registers, always the instruction pointer, memory read and written --------
 */
/* One line for each state: what changed since the line before, the address that is next, and the
 * memory that the instruction between (if any) touched. */
static void tenet_line(struct trace_text *t, const struct vm_trace_regs *now, u64 next)
{
    bool wide = now->bits == 64;
    for (int k = 0; k < (wide ? 16 : 8); k++)
        if (now->gpr[k] != t->shown.gpr[k] || t->first)
            fprintf(t->f, "%s=0x%" PRIx64 ",", gpr_name(wide ? 64 : 32, k), now->gpr[k]);
    t->shown = *now;
    t->first = false;
    fprintf(t->f, "%s=0x%" PRIx64, wide ? "rip" : "eip", next);
    for (int k = 0; t->pending && k < t->n_acc; k++) {
        const struct vm_trace_access *a = &t->acc[k];
        u8 after[64];
        bool write = a->write && vm_peek(t->vm, a->addr, after, a->size);
        if (a->read && t->read_ok[k]) {
            fprintf(t->f, ",mr=0x%" PRIx64 ":", a->addr);
            put_hex(t->f, t->read[k], a->size);
        }
        if (write) {
            fprintf(t->f, ",mw=0x%" PRIx64 ":", a->addr);
            put_hex(t->f, after, a->size);
        }
    }
    t->pending = false;
    fputc('\n', t->f);
}

/* ---- from the machine ----------------------------------------------------------------------- */
/* The pending instruction is over; now: registers after it, NULL: not known any more. */
static void finish(struct trace_text *t, const struct vm_trace_regs *now)
{
    struct line_def *d;
    if (!t->pending)
        return;
    d = &t->defs[t->id];
    if (t->style == STYLE_TENET) {
        tenet_line(t, now, d->b.lin - d->b.rip + now->rip);
        return;
    }
    t->pending = false;
    if (t->style == STYLE_TEXT)
        text_line(t, d, now);
    else
        json_line(t, d, now);
    t->first = false;
    t->events_len = 0;
}

void trace_text_free(struct trace_text *t)
{
    struct vm_trace_regs now;
    if (!t)
        return;
    if (t->pending && t->vm) {
        vm_trace_get(t->vm, &now);
        finish(t, &now);
    }
    fflush(t->f);
    free_defs(t);
    free(t->defs);
    free(t->events);
    trace_disasm_close(&t->dis);
    free(t);
}

static void on_define(void *ctx, u32 id, const struct vm_trace_block *b)
{
    struct trace_text *t = ctx;
    if (id >= t->room) {
        u32 room = MAX(t->room * 2, id + 1024);
        struct line_def *p = realloc(t->defs, room * sizeof(*p));
        if (!p)
            abort();
        t->defs = p;
        t->room = room;
    }
    t->defs[id] = (struct line_def){.b = *b};
    t->n_defs = id + 1;
}

static void on_enter(void *ctx, u32 id, u32 n)
{
    struct trace_text *t = ctx;
    struct vm_trace_regs now;
    (void)n;
    vm_trace_get(t->vm, &now);
    if (t->style == STYLE_TENET)
        tenet_line(t, &now, t->defs[id].b.lin);
    else
        finish(t, &now);
    t->pending = true;
    t->id = id;
    t->count = vm_icount(t->vm);
    t->before = now;
    if (t->vectors)
        vm_trace_get_vectors(t->vm, &t->vec);
    t->n_acc = vm_trace_accesses(t->vm, t->acc);
    for (int k = 0; k < t->n_acc; k++)
        t->read_ok[k] =
            t->acc[k].read && vm_peek(t->vm, t->acc[k].addr, t->read[k], t->acc[k].size);
}

static void event_line(struct trace_text *t, const struct vm_trace_event *e, char *to, size_t size)
{
    char text[128];
    trace_event_text(e, text, sizeof(text));
    if (t->style == STYLE_TEXT)
        snprintf(to, size, "           # %s\n", text);
    else
        snprintf(to, size,
                 "{\"count\":%" PRIu64 ",\"event\":\"%s\",\"a\":%u,\"b\":\"0x%" PRIx64
                 "\",\"c\":\"0x%" PRIx64 "\"}\n",
                 t->count, trace_kind_name(e->kind), e->a, e->b, e->c);
}

static void on_event(void *ctx, const struct vm_trace_event *e)
{
    struct trace_text *t = ctx;
    struct vm_trace_regs now;
    char line[256];
    if (t->style == STYLE_TENET) {
        if (e->kind == VM_TRACE_CUT)
            t->pending = false;
        return;
    }
    if (e->kind == VM_TRACE_CUT) { /* it did not happen; the exception says so */
        if (t->pending && e->a == 0 && t->style == STYLE_TEXT) {
            t->n_acc = 0;
            finish(t, NULL);
        }
        t->pending = false;
        t->events_len = 0;
        return;
    }
    event_line(t, e, line, sizeof(line));
    if (t->pending && !vm_trace_ticks(e->kind)) {
        size_t n = strlen(line);
        if (t->events_len + n <= ROOM) {
            memcpy(t->events + t->events_len, line, n);
            t->events_len += n;
        }
        return;
    }
    if (t->pending) {
        vm_trace_get(t->vm, &now);
        finish(t, &now);
    }
    t->count = vm_icount(t->vm);
    event_line(t, e, line, sizeof(line));
    fputs(line, t->f);
}

static void on_forget(void *ctx)
{
    struct trace_text *t = ctx;
    free_defs(t);
    t->pending = false;
}

static void on_gap(void *ctx, u64 n)
{
    struct trace_text *t = ctx;
    struct vm_trace_regs now;
    if (t->pending) {
        vm_trace_get(t->vm, &now);
        finish(t, &now);
    }
    if (t->style == STYLE_TEXT)
        fprintf(t->f, "           # %" PRIu64 " instructions left out\n", n);
    else if (t->style == STYLE_JSONL)
        fprintf(t->f, "{\"gap\":%" PRIu64 "}\n", n);
}

void trace_text_sink(struct trace_text *t, struct trace_sink *sink)
{
    *sink = (struct trace_sink){.ctx = t,
                                .define = on_define,
                                .enter = on_enter,
                                .event = on_event,
                                .forget = on_forget,
                                .gap = on_gap};
}
