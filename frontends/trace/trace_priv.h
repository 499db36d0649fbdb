/*
 * frontends/trace/trace_priv.h - what the files of `trivisor trace` and `trivisor profile` share.
 */
#ifndef FRONTENDS_TRACE_TRACE_PRIV_H
#define FRONTENDS_TRACE_TRACE_PRIV_H

#include "frontends/cli_priv.h"
#include "frontends/disasm.h"
#include "frontends/symbols.h"
#include "frontends/trace/control.h"
#include "frontends/trace/reader.h"

/* ---- options of trace and profile, taken out of run's (options.c) ---- */
struct trace_options {
    const char *out, *format;
    const char *start, *stop, *filter[TRACE_MAX_FILTERS];
    int n_filters;
    const char *syms[4];
    int n_syms;
    u64 slide;
    bool att, vectors, exact, help;
    u64 every; /* profile: instructions between samples; 0: the default */
    const char *flat, *org, *mode, *regs, *elf;
    /* what is run's */
    char **rest;
    int n_rest;
};
/* profile: the options of `profile`. *rest is malloc'd. */
enum status trace_options_parse(int argc, char **argv, bool profile, struct trace_options *o,
                                struct error *err);
void trace_options_free(struct trace_options *o);
/* Loads --syms. NULL in *out when there are none. */
enum status trace_load_syms(const struct trace_options *o, struct symbols **out, struct error *err);
enum status trace_parse_what(const struct trace_options *o, const struct symbols *syms,
                             struct trace_what *what, struct error *err);
/* --flat, --org, --mode, --regs into the configuration's `bare` (bare.c); false: not asked for. */
struct trace_bare;
enum status trace_bare_parse(const struct trace_options *o, struct trace_bare **out,
                             struct error *err);
void trace_bare_configure(const struct trace_bare *b, struct vm_config *cfg);
void trace_bare_free(struct trace_bare *b);

/* Runs to the end, or to what start and stop say about counts, recording from start on. Calls
 * attach when recording begins. */
enum vm_stop trace_run_counted(struct vm *vm, const struct trace_what *what,
                               bool (*attach)(void *ctx, struct vm *vm), void *ctx,
                               struct error *err);

/* ---- text (text.c) ---- */
struct trace_text;
enum trace_style { STYLE_TEXT, STYLE_JSONL, STYLE_TENET };
/* vectors: changed XMM and YMM registers, too (not in Tenet's format). */
struct trace_text *trace_text_new(FILE *f, enum trace_style style, const struct symbols *syms,
                                  bool att, bool vectors);
void trace_text_free(struct trace_text *t); /* writes what is left; does not close f */
void trace_text_vm(struct trace_text *t, struct vm *vm);
void trace_text_sink(struct trace_text *t, struct trace_sink *sink);

/* ---- words (words.c) ---- */
const char *trace_kind_name(int kind);
/* "in 0x3f8 1 = 0x60", "exception 14 #PF error 2 cr2 0xb8000" */
void trace_event_text(const struct vm_trace_event *e, char *text, size_t size);
/* A disassembler for each width. */
struct trace_disasm {
    struct disasm *d[3];
};
bool trace_disasm_open(struct trace_disasm *t, bool att);
void trace_disasm_close(struct trace_disasm *t);
struct disasm *trace_disasm(const struct trace_disasm *t, int bits);

/* ---- reading files (show.c) ---- */
struct trace_file_option {
    const char *name;
    u64 *to;
};
/* Exactly n_files names, numeric options, --syms and --slide. *syms NULL: none; free it anyway. */
enum status trace_file_options(int argc, char **argv, const struct trace_file_option *opts, int n,
                               const char **files, int n_files, struct symbols **syms,
                               struct error *err);
/* Prints the message; the exit status. */
int trace_complain(enum status st, const struct error *err);
/* The lines of an item from instruction `from` on, at most *left of them. mark: before each. */
void trace_print_item(FILE *f, const char *mark, const struct trace_item *it, u64 from, u64 *left,
                      const struct trace_disasm *dis, const struct symbols *syms);

/* ---- instruction mix (stat.c) ---- */
enum { TRACE_MIX_MAX = 2048 };
struct trace_mix {
    struct trace_mix_entry {
        char name[24];
        u64 n;
    } list[TRACE_MIX_MAX];
    int n;
};
/* The first `done` instructions of b, each `times`. */
void trace_mix_add(struct trace_mix *m, struct disasm *d, const struct vm_trace_block *b, u32 done,
                   u64 times);
void trace_mix_print(FILE *f, struct trace_mix *m, int top); /* sorts it */

/* ---- subcommands ---- */
int trace_show(int argc, char **argv);
int trace_stat(int argc, char **argv);
int trace_diff(int argc, char **argv);

#endif
