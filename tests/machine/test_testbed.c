/*
 * tests/machine/test_testbed.c - a CPU alone: registers in and out, steps, faults, code changes.
 */
#include <criterion/criterion.h>

#include "base/log.h"
#include "machine/testbed.h"

#include <string.h>

static struct testbed *make(const char *cpu, const char *engine, bool catch)
{
    struct error err;
    struct testbed *tb = NULL;
    struct testbed_config c = {.cpu = cpu, .engine = engine, .ram_size = 1 << 20, .catch = catch};
    cr_assert(testbed_new(&c, &tb, &err) == ST_OK, "%s", err.msg);
    return tb;
}

/* Real mode at 0:1000. */
static void real_mode(struct testbed *tb, struct cpu_regs *r)
{
    testbed_reset(tb);
    testbed_get(tb, r);
    r->seg[CPU_SEG_CS].sel = 0;
    r->seg[CPU_SEG_CS].base = 0;
    r->rip = 0x1000;
    r->gpr[4] = 0x8000;
}

Test(testbed, every_register_comes_back)
{
    struct testbed *tb = make("x86-64-v3", NULL, false);
    struct cpu_regs a, b;
    testbed_get(tb, &a);
    for (int k = 0; k < 16; k++)
        a.gpr[k] = 0x0123456789abcdefull * (u64)(k + 1);
    a.rip = 0x123456;
    a.rflags = 0x2 | 0x8d5;
    for (int k = 160; k < 416; k++)
        a.xsave[k] = (u8)(k * 7);
    for (int k = 576; k < 832; k++)
        a.xsave[k] = (u8)(k * 11);
    a.xsave[24] = 0x80;
    a.xsave[25] = 0x7f;
    a.seg[CPU_SEG_FS].base = 0xffff800012345678ull;
    a.cr2 = 77;
    a.dr[0] = 0x4000;
    testbed_set(tb, &a);
    testbed_get(tb, &b);
    cr_assert(!memcmp(&a, &b, sizeof(a)));
    testbed_free(tb);
}

static void check_engine(const char *engine)
{
    struct testbed *tb = make("386", engine, false);
    struct cpu_regs r;
    struct testbed_exception ex;
    /* inc ax; div bl; nop; IVT entry 0 at 0:2000 */
    static const u8 code[] = {0x40, 0xf6, 0xf3, 0x90}, ivt[] = {0, 0x20, 0, 0};
    real_mode(tb, &r);
    r.gpr[0] = 0xffff;
    r.gpr[3] = 0;
    cr_assert(testbed_write(tb, 0x1000, code, sizeof(code)) && testbed_write(tb, 0, ivt, 4));
    testbed_set(tb, &r);
    cr_assert(testbed_step(tb, &ex) == TESTBED_STEPPED && ex.vector == -1);
    testbed_get(tb, &r);
    cr_expect(r.rip == 0x1001 && (r.gpr[0] & 0xffff) == 0 && (r.rflags & 0x40));
    cr_assert(testbed_step(tb, &ex) == TESTBED_STEPPED && ex.vector == 0);
    testbed_get(tb, &r);
    cr_expect(r.rip == 0x2000);
    u16 pushed;
    cr_expect(testbed_read(tb, 0x7ffa, &pushed, 2) && pushed == 0x1001);
    /* the bytes under cached code change */
    static const u8 dec = 0x48;
    testbed_write(tb, 0x1000, &dec, 1);
    r.rip = 0x1000;
    r.gpr[0] = 5;
    testbed_set(tb, &r);
    testbed_step(tb, &ex);
    testbed_get(tb, &r);
    cr_expect(r.gpr[0] == 4);
    testbed_free(tb);
}

Test(testbed, steps_with_fast_handlers)
{
    check_engine("interp");
}
Test(testbed, steps_with_exec_functions)
{
    check_engine("generic");
}

Test(testbed, catches_exceptions)
{
    struct testbed *tb = make("386", NULL, true);
    struct cpu_regs r, after;
    struct testbed_exception ex;
    static const u8 code[] = {0xf6, 0xf3};
    real_mode(tb, &r);
    r.gpr[3] = 0;
    testbed_write(tb, 0x1000, code, 2);
    testbed_set(tb, &r);
    testbed_get(tb, &r);
    cr_assert(testbed_step(tb, &ex) == TESTBED_CAUGHT && ex.vector == 0 && !ex.has_error);
    testbed_get(tb, &after);
    cr_assert(!memcmp(&r, &after, sizeof(r)));
    testbed_free(tb);
}

Test(testbed, runs_and_halts)
{
    struct testbed *tb = make("386", NULL, false);
    struct cpu_regs r;
    u64 ran;
    static const u8 code[] = {0xb9, 100, 0, 0xe2, 0xfe, 0xf4}; /* mov cx,100; loop $; hlt */
    real_mode(tb, &r);
    testbed_write(tb, 0x1000, code, sizeof(code));
    testbed_set(tb, &r);
    cr_assert(testbed_run(tb, 50, &ran) == TESTBED_STEPPED && ran == 50);
    cr_assert(testbed_run(tb, 1000, &ran) == TESTBED_HALTED && ran == 52);
    cr_assert(testbed_step(tb, NULL) == TESTBED_HALTED);
    testbed_free(tb);
}

Test(testbed, refuses)
{
    struct testbed *tb = NULL;
    struct error err;
    struct testbed_config c = {.cpu = "6502", .ram_size = 4096};
    cr_expect(testbed_new(&c, &tb, &err) == ST_INVAL);
    c = (struct testbed_config){.engine = "warp", .ram_size = 4096};
    cr_expect(testbed_new(&c, &tb, &err) == ST_INVAL);
    tb = make("386", NULL, false);
    u8 b[8] = {0};
    cr_expect(!testbed_write(tb, (1 << 20) - 4, b, 8) && !testbed_read(tb, ~0ull - 2, b, 8));
    testbed_free(tb);
}
