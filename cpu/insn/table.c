/*
 * cpu/insn/table.c - insn.def expanded into the row array. Nothing else.
 */
#include "cpu/zydis_priv.h"

/* Every row's exec function has the one prototype; declared from the rows themselves. */
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt) exec_fn exec;
#include "cpu/insn/insn.def"
#undef INSN

const struct insn_row insn_rows[INSN_COUNT] = {
    [INSN_INVALID] = {"(invalid)", exec_invalid, ZYDIS_MNEMONIC_INVALID, ANY, USER, 0, 0, F_UD,
                      EXIT},
#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt)                                \
    [INSN_##id] = {#id, exec, ZYDIS_MNEMONIC_##mnem, when, priv, sees, changes, faults, bt},
#include "cpu/insn/insn.def"
#undef INSN
};
