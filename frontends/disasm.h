/*
 * frontends/disasm.h - one instruction as text.
 *
 * You are here: for people only (traces, check's reports, monitors). What an instruction does is
 * decided by cpu/'s table and its decoder, never here: this library is known to disagree with them
 * about rare encodings.
 */
#ifndef FRONTENDS_DISASM_H
#define FRONTENDS_DISASM_H

#include "base/types.h"

enum { DISASM_TEXT = 192 }; /* a buffer that holds any instruction */

struct disasm;

/* bits: 16, 32 or 64, the width of the code. NULL: no memory, or no such width. Intel syntax. */
struct disasm *disasm_open(int bits);
void disasm_close(struct disasm *d); /* NULL is fine */
void disasm_att(struct disasm *d, bool on);

/* Text of the first instruction in `bytes` (len: how many there are), which stands at `address`
 * (IP or linear, as branch targets shall be shown). Always gives a string: "(bad)" where nothing
 * can be made of the bytes. Returns the instruction's length, 0 if bad. */
int disasm_one(struct disasm *d, const u8 *bytes, size_t len, u64 address, char *text, size_t size);

/* The instruction's name alone, without operands and with REP and LOCK dropped: "movsb". Same
 * result and "(bad)". */
int disasm_name(struct disasm *d, const u8 *bytes, size_t len, u64 address, char *text,
                size_t size);

#endif
