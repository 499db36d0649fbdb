/*
 * frontends/record/record_priv.h - what the command's files share; tests make vectors with it too.
 */
#ifndef FRONTENDS_RECORD_RECORD_PRIV_H
#define FRONTENDS_RECORD_RECORD_PRIV_H

#include "frontends/check/vector.h"
#include "frontends/disasm.h"
#include "frontends/record/session.h"

/* A case as a vector. False: no memory. */
bool record_vector(const struct session_case *x, struct disasm *dis, struct vector *v);
/* report.c: the scoreboard (docs/conformance.md). */
enum status report_write(const struct session *s, const struct session_config *cfg,
                         const char *path, struct error *err);

#endif
