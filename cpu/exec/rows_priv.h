/*
 * cpu/exec/rows_priv.h - prototypes of every row's exec function, from the rows themselves.
 *
 * You are here: each file that defines exec_* functions includes this, so that a function no row
 * names is a compiler warning.
 */
#ifndef CPU_EXEC_ROWS_PRIV_H
#define CPU_EXEC_ROWS_PRIV_H

#include "cpu/insn/insn.h"

#define INSN(id, mnem, when, exec, priv, sees, changes, faults, bt) exec_fn exec;
#include "cpu/insn/insn.def"
#undef INSN

#endif
