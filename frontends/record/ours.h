/*
 * frontends/record/ours.h - the same instruction on an engine of ours: a testbed arranged as the
 * user process that frontends/record/host.c runs.
 *
 * You are here: what the recorder verifies with, and how `check` runs recorded vectors. 64-bit mode
 * or compatibility mode at CPL 3, paging, the pages of layout.h with the same rights.
 */
#ifndef FRONTENDS_RECORD_OURS_H
#define FRONTENDS_RECORD_OURS_H

#include "frontends/record/host.h"
#include "machine/testbed.h"

struct ours;
/* cpu, engine: as in struct testbed_config. */
enum status ours_open(const char *cpu, const char *engine, struct ours **out, struct error *err);
void ours_free(struct ours *o);
struct testbed *ours_testbed(const struct ours *o);

/* Runs c's upper part; the results go to r, whose upper part is not looked at. */
void ours_run(struct ours *o, const struct host_case *c, struct host_case *r);

/* The first difference between what was recorded and what r has, or false. flags: EFLAGS bits that
 * count. text: one line, e.g. "rax: recorded 1, got 2". */
bool ours_differs(const struct host_case *recorded, const struct host_case *r, u32 flags,
                  char *text, size_t size);

/* Registers and pages of the arranged process, for callers with a testbed of their own (catch
 * mode, at least ARENA_RAM bytes): page tables once, then the registers for each case. */
enum { ARENA_RAM = 0x20000, ARENA_PHYS = 0x10000 };
void arena_prepare(struct testbed *tb);
void arena_regs(int bits, const struct host_state *s, struct cpu_regs *r);

#endif
