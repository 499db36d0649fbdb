/*
 * machine/insns.c - see insns.h.
 */
#include "machine/insns.h"
#include "machine/testbed_priv.h"
#include "cpu/cpu.h"

#include <string.h>

int insns_count(void)
{
    return INSN_COUNT;
}

bool insns_row(int row, struct insns_row *out)
{
    static const char *const privileges[] = {
        [USER] = "USER", [CPL0] = "CPL0", [IOPL] = "IOPL", [IOPERM] = "IOPERM",
        [UMIP] = "UMIP", [TSD] = "TSD",   [PCE] = "PCE",
    };
    if (row <= 0 || row >= INSN_COUNT)
        return false;
    const struct insn_row *r = &insn_rows[row];
    *out = (struct insns_row){.name = r->name,
                              .privilege = privileges[r->priv],
                              .user = r->priv == USER,
                              .system = (r->sees | r->changes) & ~S_FPU,
                              .exits = r->bt == EXIT};
    return true;
}

int insns_find(const char *name)
{
    for (int k = 1; k < INSN_COUNT; k++)
        if (!strcmp(insn_rows[k].name, name))
            return k;
    return 0;
}

bool insns_shape(const struct testbed *tb, int bits, const u8 *bytes, int avail,
                 struct insn_shape *out)
{
    u32 key = bits == 64 ? KEY_64 : bits == 32 ? KEY_32 : KEY_16;
    return insn_shape(testbed_cpu(tb), bytes, avail, key, out);
}
