/*
 * tests/fuzz/fuzz_decode.c - decoder, table and facts over any bytes, in every mode.
 *
 * Input: a byte that picks model and mode, then instructions. Whatever they are: lengths are in
 * range, what is remembered of an encoding equals what is decoded anew, facts fit the instruction.
 */
#include "tests/fuzz/fuzz.h"
#include "cpu/decode_priv.h"
#include "cpu/insn/facts.h"
#include "cpu/native_priv.h"
#include "tests/insn/sweep.h"

static void check(struct cpu *cpu, const u8 *bytes, int avail, u32 key)
{
    struct insn fresh, again;
    struct insn_facts facts;
    decode_forget(cpu);
    memset(&fresh, 0, sizeof(fresh));
    memset(&again, 0, sizeof(again));
    int len = decode_insn(cpu, bytes, avail, key, &fresh);
    MUST(len <= 15 && fresh.row < INSN_COUNT);
    MUST(len <= avail);
    int twice = decode_insn(cpu, bytes, avail, key, &again);
    MUST(twice == len && !memcmp(&fresh, &again, sizeof(fresh)));
    bool known = insn_facts(cpu, bytes, avail, key, &facts);
    if (len > 0) {
        MUST(fresh.len == len && insn_rows[fresh.row].exec);
        MUST(fresh.base < GPR_SLOTS && fresh.index < GPR_SLOTS && fresh.scale <= 3);
        MUST(fresh.seg <= SEG_FLAT);
        for (int k = 0; k < 3; k++)
            MUST(fresh.kind[k] <= OP_OTHER && fresh.reg[k] < 32);
    }
    if (known && len > 0 && cpu_has(cpu, FEAT_I386)) { /* older ones: nobody asks for facts */
        if (facts.row != fresh.row || facts.len != len) {
            fprintf(stderr, "%s, key %#x: %s of %d bytes, facts of %s of %d:", cpu->ident.brand,
                    key, insn_rows[fresh.row].name, len, insn_rows[facts.row].name, facts.len);
            for (int k = 0; k < avail; k++)
                fprintf(stderr, " %02x", bytes[k]);
            fprintf(stderr, "\n");
        }
        MUST(facts.row == fresh.row && facts.len == len);
        MUST(!(facts.gpr_must & ~facts.gpr_may) && !(facts.flags_must & ~facts.flags_may));
        MUST(!(facts.flags_must & facts.flags_undefined));
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct cpu *models[4];
    static const char *const names[4] = {NULL, "x86-64", "386", "8086"};
    static const u32 keys[8] = {KEY_16,
                                KEY_32,
                                KEY_64,
                                KEY_16 | KEY_REAL,
                                KEY_32 | KEY_FLAT | KEY_SS32,
                                KEY_64 | KEY_USER,
                                KEY_16 | KEY_USER,
                                KEY_32 | KEY_USER | KEY_FLAT | KEY_SS32};
    if (size < 2)
        return 0;
    int m = data[0] & 3;
    if (!models[m])
        models[m] = m ? sweep_cpu(names[m]) : sweep_cpu_all();
    u32 key = keys[data[0] >> 2 & 7];
    struct cpu *cpu = models[m];
    if (!cpu_has(cpu, FEAT_LM) && (key & KEY_64))
        key &= ~(u32)KEY_64;
    for (size_t at = 1; at < size && at < 64; at++) {
        u8 bytes[32] = {0};
        int avail = (int)MIN(size - at, (size_t)15);
        memcpy(bytes, data + at, (size_t)avail);
        if (cpu->native->want_flush) { /* as at the start of a slice */
            native_enter(cpu);
            native_leave(cpu);
        }
        check(cpu, bytes, avail, key);
    }
    return 0;
}
