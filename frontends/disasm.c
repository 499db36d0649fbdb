/*
 * frontends/disasm.c - the only file that knows Capstone.
 */
#include "frontends/disasm.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disasm {
    csh handle;
    cs_insn *insn;
    int bits;
};

struct disasm *disasm_open(int bits)
{
    cs_mode mode = bits == 16 ? CS_MODE_16 : bits == 32 ? CS_MODE_32 : CS_MODE_64;
    struct disasm *d;
    if (bits != 16 && bits != 32 && bits != 64)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->bits = bits;
    if (cs_open(CS_ARCH_X86, mode, &d->handle) != CS_ERR_OK) {
        free(d);
        return NULL;
    }
    cs_option(d->handle, CS_OPT_DETAIL, CS_OPT_OFF);
    d->insn = cs_malloc(d->handle);
    if (!d->insn) {
        disasm_close(d);
        return NULL;
    }
    return d;
}

void disasm_close(struct disasm *d)
{
    if (!d)
        return;
    if (d->insn)
        cs_free(d->insn, 1);
    cs_close(&d->handle);
    free(d);
}

void disasm_att(struct disasm *d, bool on)
{
    cs_option(d->handle, CS_OPT_SYNTAX, on ? CS_OPT_SYNTAX_ATT : CS_OPT_SYNTAX_INTEL);
}

static bool decode(struct disasm *d, const u8 *bytes, size_t len, u64 address)
{
    const uint8_t *p = bytes;
    uint64_t at = address;
    if (len > 15)
        len = 15;
    return cs_disasm_iter(d->handle, &p, &len, &at, d->insn);
}

int disasm_one(struct disasm *d, const u8 *bytes, size_t len, u64 address, char *text, size_t size)
{
    if (!decode(d, bytes, len, address)) {
        snprintf(text, size, "(bad)");
        return 0;
    }
    if (d->insn->op_str[0])
        snprintf(text, size, "%s %s", d->insn->mnemonic, d->insn->op_str);
    else
        snprintf(text, size, "%s", d->insn->mnemonic);
    return d->insn->size;
}

int disasm_name(struct disasm *d, const u8 *bytes, size_t len, u64 address, char *text, size_t size)
{
    if (!decode(d, bytes, len, address)) {
        snprintf(text, size, "(bad)");
        return 0;
    }
    /* prefixes are words before the name */
    const char *name = strrchr(d->insn->mnemonic, ' ');
    snprintf(text, size, "%s", name ? name + 1 : d->insn->mnemonic);
    return d->insn->size;
}
