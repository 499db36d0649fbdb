/*
 * frontends/views.c - what the translator did, as text: counters, and one block's two codes.
 */
#include "frontends/cli_priv.h"
#include "frontends/disasm.h"
#include "machine/ledger.h"
#include "machine/views.h"

#include <inttypes.h>
#include <string.h>

/* ---- counters ------------------------------------------------------------------------------- */
static void print_count(void *ctx, const struct vm_count *c)
{
    FILE *f = ctx;
    if (c->tenths)
        fprintf(f, "%-18s %18" PRIu64 ".%u\n", c->name, c->n / 10, (unsigned)(c->n % 10));
    else
        fprintf(f, "%-18s %20" PRIu64 "\n", c->name, c->n);
}

void views_print_stats(const struct vm *vm, FILE *f)
{
    struct vm_helper rows[16];
    vm_engine_counts(vm, print_count, f);
    int n = vm_engine_helpers(vm, rows, (int)ARRAY_LEN(rows));
    for (int k = 0; k < n; k++)
        fprintf(f, "calls of %-9s %20" PRIu64 "  in %" PRIu64 " places\n", rows[k].name,
                rows[k].called, rows[k].translated);
}

/* ---- the same for programs --------------------------------------------------------------------
 */
static void json_count(void *ctx, const struct vm_count *c)
{
    FILE *f = ctx;
    fprintf(f, ",\n  \"%s\": %" PRIu64, c->name, c->tenths ? c->n / 10 : c->n);
    if (c->tenths)
        fprintf(f, ".%u", (unsigned)(c->n % 10));
}

bool views_json_stats(const struct vm *vm, FILE *f)
{
    struct vm_stats t;
    struct vm_ledger l;
    vm_stats(vm, &t);
    vm_ledger(vm, &l);
    fprintf(f,
            "{\"machine\": {\n  \"instructions\": %" PRIu64 ", \"virtual_ns\": %" PRIu64
            ", \"halted_ns\": %" PRIu64 ", \"device_accesses\": %" PRIu64
            ",\n  \"interrupts\": %" PRIu64 ", \"exceptions\": %" PRIu64
            ", \"hypercalls\": %" PRIu64 ", \"tlb_misses\": %" PRIu64
            ",\n  \"blocks_decoded\": %" PRIu64 ", \"blocks_invalidated\": %" PRIu64 "},\n",
            t.insns, t.run_ns, t.halted_ns, t.io_accesses, t.interrupts, t.exceptions, t.hypercalls,
            t.tlb_misses, t.blocks_decoded, t.block_invalidations);
    fprintf(f, " \"exits\": {");
    for (int k = 0; k < VM_EXIT_CAUSES; k++)
        fprintf(f, "%s\n  \"%s\": {\"n\": %" PRIu64 ", \"ns\": %" PRIu64 "}", k ? "," : "",
                vm_exit_name((enum vm_exit_cause)k), l.row[k].n, l.row[k].ns);
    fprintf(f, "},\n \"engine\": {\n  \"name\": \"%.*s\"", (int)strcspn(vm_engine(vm), ","),
            vm_engine(vm));
    vm_engine_counts(vm, json_count, f);
    fprintf(f, "}}\n");
    return !ferror(f);
}

/* ---- a block -------------------------------------------------------------------------------- */
enum { LEFT = 46 };

/* One instruction of host code; returns its length. */
static u32 host_line(FILE *f, struct disasm *host, const struct vm_block_view *v, u32 at, u32 end,
                     const char *left)
{
    char text[DISASM_TEXT];
    int len = disasm_one(host, v->code + at, end - at, v->host + at, text, sizeof(text));
    fprintf(f, "%-*s | %" PRIx64 "  %s\n", LEFT, left, v->host + at, text);
    return len > 0 ? (u32)len : 1;
}

static void host_part(FILE *f, struct disasm *host, const struct vm_block_view *v, u32 from, u32 to,
                      const char *left)
{
    if (from == to)
        fprintf(f, "%-*s |\n", LEFT, left);
    while (from < to) {
        from += host_line(f, host, v, from, to, left);
        left = "";
    }
}

static void insn_text(struct disasm *guest, const struct vm_block_view *v,
                      const struct vm_block_mark *m, char *out, size_t size)
{
    char text[DISASM_TEXT];
    u64 at = m->lin - v->guest_lin;
    if (at >= v->guest_bytes) {
        snprintf(out, size, "?");
        return;
    }
    disasm_one(guest, v->guest + at, v->guest_bytes - at, m->lin, text, sizeof(text));
    snprintf(out, size, "%8" PRIx64 "  %s", m->lin, text);
}

static void print_parts(FILE *f, struct disasm *guest, struct disasm *host,
                        const struct vm_block_view *v)
{
    for (u32 k = 0; k < v->n_marks; k++) {
        const struct vm_block_mark *m = &v->marks[k];
        u32 end = k + 1 < v->n_marks ? m[1].at : v->code_bytes;
        char left[DISASM_TEXT + 32];
        switch (m->part) {
        case VM_PART_ENTRY:
            snprintf(left, sizeof(left), "(ways in)");
            break;
        case VM_PART_INSN:
            insn_text(guest, v, m, left, sizeof(left));
            break;
        case VM_PART_COLD:
            snprintf(left, sizeof(left), "(out of %" PRIx64 ")", m->lin);
            break;
        case VM_PART_EDGE:
            snprintf(left, sizeof(left), "(to next block %u, until linked)", m->insn);
            break;
        }
        if (strlen(left) > LEFT) { /* a line of its own */
            fprintf(f, "%s\n", left);
            left[0] = 0;
        }
        host_part(f, host, v, m->at, end, left);
    }
}

void views_print_block(struct vm *vm, u64 lin, FILE *f)
{
    struct vm_block_view v;
    if (!vm_watched_block(vm, &v)) {
        fprintf(f, "no block at 0x%" PRIx64 " was translated (engine: %s)\n", lin, vm_engine(vm));
        return;
    }
    struct disasm *guest = disasm_open(v.bits), *host = disasm_open(64);
    fprintf(f,
            "block 0x%" PRIx64 ", %d bits, %s: %u instructions, %u bytes; host code at 0x%" PRIx64
            ", %u bytes; translated %" PRIu64 " times\n",
            v.lin, v.bits, v.user ? "user" : "kernel", v.insns, v.guest_bytes, v.host, v.code_bytes,
            v.times);
    if (guest && host)
        print_parts(f, guest, host, &v);
    disasm_close(guest);
    disasm_close(host);
}
