/*
 * frontends/symbols.h - names for addresses: from ELF files and from System.map or kallsyms lists.
 *
 * You are here: traces, profiles and debuggers. The files are not trusted.
 */
#ifndef FRONTENDS_SYMBOLS_H
#define FRONTENDS_SYMBOLS_H

#include "base/status.h"
#include "base/types.h"

struct symbols;

struct symbols *symbols_new(void); /* NULL: no memory */
void symbols_free(struct symbols *s);

/* Adds those of a file: ELF of 32 or 64 bits (.symtab, or else .dynsym), or lines of
 * "address type name" as in System.map and /proc/kallsyms. slide is added to every address.
 * ST_FORMAT: neither, or no symbol in it. */
enum status symbols_load(struct symbols *s, const char *path, u64 slide, struct error *err);
size_t symbols_count(const struct symbols *s);

/* The code symbol that addr lies in: the last at or below it, if its size (where known, else 1 MiB)
 * reaches so far. NULL: none. offset may be NULL. Valid until the next load. */
const char *symbols_at(const struct symbols *s, u64 addr, u64 *offset);
/* Code or data. */
bool symbols_find(const struct symbols *s, const char *name, u64 *addr);
/* Where the function at addr ends: the next code symbol, or its size. */
bool symbols_range(const struct symbols *s, const char *name, u64 *from, u64 *to);

/* "name+0x12", "name", or nothing ("") when none fits. s may be NULL. Returns text. */
const char *symbols_text(const struct symbols *s, u64 addr, char *text, size_t size);

#endif
