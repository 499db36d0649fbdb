/*
 * frontends/record/session.h - rows to forms to cases to results, checked on the way.
 *
 * You are here: `trivisor record` and its tests. A session runs every form of the rows it was given
 * a number of times on the host, runs the same cases on our engines, and hands each case on.
 */
#ifndef FRONTENDS_RECORD_SESSION_H
#define FRONTENDS_RECORD_SESSION_H

#include "frontends/record/forms.h"
#include "frontends/record/host.h"
#include "frontends/record/layout.h"

enum { SESSION_ENGINES = 4 }; /* the first of testbed_engines() */

struct session_config {
    const char *rows; /* glob of row names; NULL: all */
    int per_form;
    u64 seed;
    int bits; /* 16, 32, 64; 0: all */
    bool verify;
};
struct session_row {
    int forms[WIDTHS];             /* of 16, 32 and 64 bits */
    int vectors, dropped;          /* dropped: cases whose outcome on the host cannot be used */
    int failures[SESSION_ENGINES]; /* by engine */
};
struct session_case {
    const struct form *form;
    const struct insn_shape *shape; /* of this instruction */
    const struct host_case *c;
    u32 flags;       /* EFLAGS bits that count */
    int row, number; /* of the case in its row, from 0 */
};

struct session;
/* Prepares: starts the child, finds the forms. */
enum status session_open(const struct session_config *cfg, struct session **out, struct error *err);
void session_close(struct session *s);

/* All cases, row by row. done: after a row, and before the next one begins; both callbacks may be
 * NULL; one that does not return ST_OK ends the run with its status. */
enum status session_run(struct session *s,
                        enum status (*each)(void *ctx, const struct session_case *c,
                                            struct error *err),
                        enum status (*done)(void *ctx, int row, struct error *err), void *ctx,
                        struct error *err);

struct session_totals {
    int rows, forms, vectors, dropped; /* rows: with vectors */
    int failures[SESSION_ENGINES];
};
/* Results so far. */
struct session_totals session_totals(const struct session *s);
const struct session_row *session_row(const struct session *s, int row);
/* The first failures, one a line with its case: at most so many are kept. */
int session_messages(const struct session *s);
const char *session_message(const struct session *s, int k);

/* Why a row is never recorded, or NULL. */
const char *session_excluded(int row);
/* An instruction that may be given to the host (inputs_for() looks at its bytes besides). */
bool session_runs(const struct insn_shape *shape);
/* What the host made of a case, brought into the form that engines of ours give. False: processors
 * are free there. *flags: EFLAGS bits that count. */
bool session_result(struct host_case *c, const struct insn_shape *shape, u32 *flags);

#endif
