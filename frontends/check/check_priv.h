/*
 * frontends/check/check_priv.h - what the files of `trivisor check` share.
 *
 * You are here: check.c is the command line; pool.c gives files to worker processes; runner.c runs
 * one vector; masks.c knows which flags are undefined; report.c writes what people and CI read.
 */
#ifndef FRONTENDS_CHECK_CHECK_PRIV_H
#define FRONTENDS_CHECK_CHECK_PRIV_H

#include "frontends/check/vector_priv.h"

#include <stdio.h>

/* ---- what is asked for ---------------------------------------------------------------------- */
struct check_file {
    char *path;
    bool one; /* FILE#N: only test N, counted from 0 (numbers in files need not be unique) */
    u32 only;
};

struct check_options {
    struct check_file *files;
    u32 n_files, cap_files;
    const char *cpu;    /* NULL: as the file says */
    const char *engine; /* "interp" if none was named */
    const char *filter; /* glob, NULL: all */
    const char *junit, *exceptions;
    u64 jobs, show; /* show: failures described per file */
    bool tap, stop, quiet;
};

/* ---- masks.c -------------------------------------------------------------------------------- */
/* What stands beside the files of a suite: metadata.json and revocation_list.txt, either may be
 * missing; and the exceptions that are known. */
struct suite;
struct suite *suite_open(const char *dir); /* NULL: out of memory */
void suite_close(struct suite *s);
bool suite_revoked(const struct suite *s, const struct vector *v);
/* The bits of FLAGS that count after v's instruction on this model: the suite's word if it has
 * one, else our table (masks.def). */
u16 flags_mask(const struct suite *s, const char *cpu, const struct vector *v);
/* Opcode without prefixes, 0F00h + n for two-byte ones; -1: none. *reg: ModRM bits 5-3, or 0. */
int vector_opcode(const struct vector *v, int *reg);

/* ---- runner.c ------------------------------------------------------------------------------- */
enum diff_kind { DIFF_REG, DIFF_MEM, DIFF_XSAVE, DIFF_EXCEPTION, DIFF_TEXT };
struct diff {
    enum diff_kind kind;
    int reg;  /* DIFF_REG */
    u64 addr; /* DIFF_MEM, DIFF_XSAVE: the byte */
    u64 before, want, got;
    const char *text; /* DIFF_TEXT: what happened */
};
enum { MAX_DIFFS = 24 };
struct outcome {
    u32 n_diffs; /* may be more than MAX_DIFFS */
    struct diff diffs[MAX_DIFFS];
};

struct runner;
/* Fills in a NULL-terminated list: those of a testbed, and "host". */
enum { MAX_ENGINES = 16 };
void runner_engines(const char *list[MAX_ENGINES]);
enum status runner_open(const char *cpu, const char *engine, struct runner **out,
                        struct error *err);
void runner_close(struct runner *r);
/* mask: of FLAGS, also of those pushed. True: all as recorded. ST_UNSUP in *st: this engine cannot
 * run such a vector. */
bool runner_run(struct runner *r, const struct vector *v, u16 mask, struct outcome *o,
                enum status *st, struct error *err);

/* ---- pool.c --------------------------------------------------------------------------------- */
struct file_result {
    u32 passed, failed, skipped, known; /* known: failed as listed in --exceptions */
    double seconds;
    char *text; /* failures, described; never NULL when done */
    bool done;
};
/* Runs all files; results[k] belongs to files[k]. False: stopped early, on a failure. */
bool pool_run(const struct check_options *o, struct file_result *results);

/* ---- report.c ------------------------------------------------------------------------------- */
/* Appends what failed and how to see it again; n: v's place in the file. */
void report_failure(struct buf *b, const char *path, u32 n, const char *cpu, const char *engine,
                    const struct vector *v, u16 mask, const struct outcome *o);
bool report_junit(const struct check_options *o, const struct file_result *r);
void report_tap(const struct check_options *o, const struct file_result *r);

/* Lines "FILE NUMBER-OR-HASH REASON"; '#' begins a comment. */
struct exceptions;
enum status exceptions_open(const char *path, struct exceptions **out, struct error *err);
void exceptions_close(struct exceptions *e);
bool exceptions_has(const struct exceptions *e, const char *path, u32 n, const struct vector *v);

#endif
