/*
 * machine/aml.h - just enough AML to describe a fixed board: an append-only byte writer.
 *
 * You are here: acpi_tables.c builds the DSDT with it. ACPI specification 6.3, chapter 20.
 */
#ifndef MACHINE_AML_H
#define MACHINE_AML_H

#include "base/types.h"

enum { AML_MAX = 16384, AML_DEPTH = 8 };

struct aml {
    u8 buf[AML_MAX];
    u32 len;
    u32 open[AML_DEPTH]; /* where the package lengths of open blocks stand */
    int depth;
};

void aml_bytes(struct aml *a, const void *p, u32 n);
void aml_byte(struct aml *a, u8 b);
/* Blocks: every open is closed by aml_end. Names are one segment of four characters, or
 * "\\" for the root. */
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_package(struct aml *a, u8 elements);
void aml_end(struct aml *a);
/* Name (name, ...): the object follows. */
void aml_name(struct aml *a, const char *name);
void aml_int(struct aml *a, u64 v);
/* "PNP0A03" as an EISA id integer. */
void aml_eisaid(struct aml *a, const char *id);
void aml_string(struct aml *a, const char *s);
/* A buffer object with these bytes (resource templates: the end tag is added). */
void aml_resources(struct aml *a, const u8 *res, u32 n);

#endif
