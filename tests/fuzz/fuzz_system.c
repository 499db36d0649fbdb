/*
 * tests/fuzz/fuzz_system.c - any bytes as system code: CPL 0, real mode or V86, with descriptor
 * tables and task states of any contents; exceptions are delivered.
 *
 * Input: 4 bytes of setup, 128 bytes put over the tables, then code. Nothing is expected of the
 * results but that the CPU stays a CPU.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/insn/sys_rig.h"

enum { TABLE_BYTES = 128, RUNS = 24 };

static void check_sense(struct cpu *c)
{
    MUST(c->cpl <= 3 && c->gpr[GPR_ZERO] == 0);
    MUST(!(c->cr0 & CR0_PG) || (c->cr0 & CR0_PE));
    MUST(!(c->efer & EFER_LMA) || (c->cr4 & CR4_PAE));
    MUST(c->mode != MODE_V86 || c->cpl == 3);
    MUST(c->mode == MODE_LONG64 || c->rip >> 32 == 0);
    u32 key = c->key;
    u8 view = c->view;
    update_mode(c);
    MUST(c->key == key && c->view == view);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct sys *s;
    static int used;
    if (size < 4 + TABLE_BYTES + 1)
        return 0;
    if (!s || ++used % 256 == 0) { /* a machine is dear: reset in between */
        if (s)
            sys_free(s);
        s = sys_new("x86-64");
    }
    struct cpu *c = s->cpu;
    cpu_reset(c, false);
    cpu_set_seg(c, SEG_CS, 0x2000, 0x20000, 0xffff, ATTR_P | ATTR_S | ATTR_RW | ATTR_X | ATTR_A);
    c->rip = 0;
    switch (data[0] & 3) {
    case 0:
        break; /* real mode */
    case 1:
        sys_v86(s, data[1] & 3);
        break;
    case 2:
        sys_prot(s, data[1] & 1 ? 3 : 0);
        break;
    default:
        sys_long(s, data[1] & 1 ? 3 : 0);
        break;
    }
    /* where the bytes go: (table, offset, value) */
    for (int k = 0; k + 4 <= TABLE_BYTES && (data[0] & 4); k += 4) {
        const u8 *p = data + 4 + k;
        static const u64 at[4] = {GDT_AT, IDT_AT, TSS_AT, TSS2_AT};
        if (p[0] & 0x80)
            *sys_mem(s, at[p[0] & 3] + (((u64)p[0] << 6 & 0xf00) | p[1])) = p[2];
        else if (p[0] & 0x40)
            c->gpr[p[1] & 15] = (u64)(i64)(i8)p[2] << (p[3] & 63);
    }
    cpu_sync(c);
    const u8 *code = data + 4 + TABLE_BYTES;
    size_t n = MIN(size - 4 - TABLE_BYTES, (size_t)256);
    for (int k = 0; k < RUNS; k++) {
        /* the code is wherever execution is now */
        u64 at = c->mode == MODE_LONG64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
        size_t from = (size_t)(k * 11) % n;
        if (at < (4 << 20) - 16)
            sys_put(s, at, code + from, MIN(n - from, (size_t)15));
        enum cpu_exit why = k & 1 ? cpu_run(c, 5) : cpu_step(c);
        check_sense(c);
        if (why == CPU_SHUTDOWN)
            break;
        if (why == CPU_HALT) {
            c->halted = false;
            c->pending &= ~(u32)PEND_HALT;
        }
    }
    return 0;
}
