/*
 * frontends/trace/words.c - events and instructions as words.
 */
#include "frontends/trace/trace_priv.h"

#include <inttypes.h>

const char *trace_kind_name(int kind)
{
    static const char *const names[VM_TRACE_KINDS] = {
        [VM_TRACE_EXCEPTION] = "exception",
        [VM_TRACE_INTERRUPT] = "interrupt",
        [VM_TRACE_NMI] = "nmi",
        [VM_TRACE_RESTART] = "restart",
        [VM_TRACE_CUT] = "cut",
        [VM_TRACE_RESET] = "reset",
        [VM_TRACE_SOFT] = "int",
        [VM_TRACE_IN] = "in",
        [VM_TRACE_OUT] = "out",
        [VM_TRACE_RDMSR] = "rdmsr",
        [VM_TRACE_WRMSR] = "wrmsr",
        [VM_TRACE_CR] = "cr",
        [VM_TRACE_HYPERCALL] = "hypercall",
    };
    return kind >= 0 && kind < VM_TRACE_KINDS ? names[kind] : "?";
}

static const char *exception_name(u32 vector)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                        "#NM", "#DF", "",    "#TS", "#NP", "#SS", "#GP",
                                        "#PF", "",    "#MF", "#AC", "#MC", "#XM"};
    return vector < ARRAY_LEN(names) ? names[vector] : "";
}

void trace_event_text(const struct vm_trace_event *e, char *text, size_t size)
{
    const char *name = trace_kind_name(e->kind);
    switch (e->kind) {
    case VM_TRACE_EXCEPTION:
        if (e->a == 14)
            snprintf(text, size, "exception 14 #PF error 0x%" PRIx64 " cr2 0x%" PRIx64, e->b, e->c);
        else
            snprintf(text, size, "exception %u %s error 0x%" PRIx64, e->a, exception_name(e->a),
                     e->b);
        break;
    case VM_TRACE_INTERRUPT:
    case VM_TRACE_SOFT:
        snprintf(text, size, "%s 0x%02x", name, e->a);
        break;
    case VM_TRACE_RESET:
        snprintf(text, size, "%s", e->a ? "init" : "reset");
        break;
    case VM_TRACE_IN:
    case VM_TRACE_OUT:
        snprintf(text, size, "%s port 0x%x size %u = 0x%" PRIx64, name, e->a & 0xffff, e->a >> 16,
                 e->b);
        break;
    case VM_TRACE_RDMSR:
    case VM_TRACE_WRMSR:
        snprintf(text, size, "%s 0x%x = 0x%" PRIx64, name, e->a, e->b);
        break;
    case VM_TRACE_CR:
        snprintf(text, size, "cr%u = 0x%" PRIx64, e->a, e->b);
        break;
    case VM_TRACE_HYPERCALL:
        snprintf(text, size, "hypercall 0x%" PRIx64, e->b);
        break;
    default:
        snprintf(text, size, "%s", name);
        break;
    }
}

bool trace_disasm_open(struct trace_disasm *t, bool att)
{
    bool ok = true;
    for (int k = 0; k < 3; k++) {
        t->d[k] = disasm_open(16 << k);
        if (t->d[k])
            disasm_att(t->d[k], att);
        else
            ok = false;
    }
    return ok;
}

void trace_disasm_close(struct trace_disasm *t)
{
    for (int k = 0; k < 3; k++)
        disasm_close(t->d[k]);
}

struct disasm *trace_disasm(const struct trace_disasm *t, int bits)
{
    return t->d[bits == 64 ? 2 : bits == 32 ? 1 : 0];
}
