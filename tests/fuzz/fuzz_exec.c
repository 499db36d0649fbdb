/*
 * tests/fuzz/fuzz_exec.c - any bytes as ring-3, real-mode and V86 code with any registers.
 *
 * Input: 2 bytes of setup, 32 bytes that registers are made of, then code. Two engines run it in
 * catch mode; nothing is expected but that they agree and that the CPU stays a CPU.
 */
#include "tests/fuzz/fuzz.h"
#include "frontends/lockstep/program.h"

enum { CODE_MOST = 512, STEPS = 64 };

static struct testbed *bed(const char *engine)
{
    struct testbed_config c = {.engine = engine, .ram_size = PROGRAM_RAM, .catch = true};
    struct testbed *tb;
    struct error err;
    if (testbed_new(&c, &tb, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return tb;
}

static void hostile_registers(struct cpu_regs *r, const u8 *p)
{
    u64 v[4];
    memcpy(v, p, sizeof(v));
    for (int k = 0; k < 4; k++) {
        if (v[k] & 1)
            r->gpr[v[k] >> 1 & 15] = v[k] >> 8;
        if (v[k] & 0x20)
            r->gpr[v[k] >> 1 & 15] |= ~0ull << 32;
    }
    r->rflags = (r->rflags & ~0xcd5ull) | (v[0] >> 8 & 0x40cd5);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct testbed *tb[2];
    static u8 state[DATA_BYTES], ram[2][PROGRAM_RAM];
    struct program p;
    struct cpu_regs r, after[2];
    if (size < 35)
        return 0;
    if (!tb[0]) {
        tb[0] = bed("interp");
        tb[1] = bed("generic");
    }
    memset(&p, 0, sizeof(p));
    p.setup = (enum setup)(data[0] % SETUPS);
    p.state = data[1];
    size_t n = MIN(size - 34, (size_t)CODE_MOST);
    program_state(&p, &r, state);
    hostile_registers(&r, data + 2);
    memset(ram[0], 0, PROGRAM_RAM);
    memcpy(ram[0] + AT_DATA, state, DATA_BYTES);
    memset(ram[0] + AT_CODE, 0xf4, CODE_BYTES);
    memcpy(ram[0] + AT_CODE, data + 34, n);
    for (int k = 0; k < 2; k++) {
        testbed_write(tb[k], 0, ram[0], PROGRAM_RAM);
        if (p.setup != SETUP_REAL)
            program_tables(tb[k], p.setup);
        testbed_set(tb[k], &r);
    }
    for (int step = 0; step < STEPS; step++) {
        struct testbed_exception ex[2];
        enum testbed_stop stop[2];
        u64 ran[2];
        for (int k = 0; k < 2; k++) {
            stop[k] = testbed_run(tb[k], 1 + (u64)(step & 7), &ran[k]);
            testbed_caught(tb[k], &ex[k]);
            testbed_get(tb[k], &after[k]);
        }
        MUST(stop[0] == stop[1] && ran[0] == ran[1]);
        MUST(!memcmp(&after[0], &after[1], sizeof(after[0])));
        MUST(after[0].cpl <= 3 && (after[0].rflags & 2));
        if (stop[0] != TESTBED_STEPPED)
            break;
    }
    for (int k = 0; k < 2; k++)
        testbed_read(tb[k], 0, ram[k], PROGRAM_RAM);
    MUST(!memcmp(ram[0], ram[1], PROGRAM_RAM));
    return 0;
}
