/*
 * tests/machine/test_debug.c - a debugger's view of a machine: breakpoints, watches, steps, memory.
 * The guests are a few bytes of real mode; what they print is the same without a debugger.
 */
#include "tests/machine/machine_rig.h"
#include "machine/debug.h"
#include "machine/state.h"

/* The rig's ROM, made but not run. */
static void load_rom(struct machine *m, struct code *c)
{
    struct file f;
    make_rom(c);
    file_write(&f, c->b, ROM_SIZE);
    m->cfg.flat_path = f.path;
    enum status st = machine_start(m);
    cr_assert_eq(st, ST_OK, "%s", m->err.msg);
    file_remove(&f);
}

/* F000:0000: CX = 5; loop: inc byte [1234h]; dec cx; jnz loop; 'x'; quit 7. */
enum { LOOP = 0xf0003, DEC = 0xf0007, JNZ = 0xf0008, AFTER = 0xf000a };
static void counting_rom(struct code *c)
{
    CODE(c, 0xb9, 5, 0);
    CODE(c, 0xfe, 0x06, 0x34, 0x12);
    CODE(c, 0x49, 0x75, 0xf9);
    say(c, 'x');
    quit16(c, 7);
}

static struct cpu_regs regs(struct machine *m)
{
    struct cpu_regs r;
    vm_get_regs(m->vm, 0, &r);
    return r;
}

static u64 linear(struct machine *m)
{
    struct cpu_regs r = regs(m);
    return r.seg[CPU_SEG_CS].base + r.rip;
}

static void expect_stop(struct machine *m, enum vm_debug_why why, u64 at)
{
    enum vm_stop s = vm_run(m->vm, &m->err);
    cr_assert_eq(s, VM_STOP_DEBUG, "vm_run: %d", s);
    cr_expect_eq(vm_debug_stop(m->vm).why, why, "why %d", vm_debug_stop(m->vm).why);
    cr_expect_eq(linear(m), at, "at %llx", (unsigned long long)linear(m));
}

static void expect_end(struct machine *m, int code)
{
    enum vm_stop s = vm_run(m->vm, &m->err);
    cr_assert_eq(s, VM_STOP_EXIT, "vm_run: %d", s);
    cr_expect_eq(vm_exit_code(m->vm), code);
    cr_expect_str_eq(m->text, "x");
    vm_free(m->vm);
}

static struct code code;

#define SETUP(rom)                                                                                 \
    struct machine m;                                                                              \
    memset(&code, 0, sizeof(code));                                                                \
    machine_init(&m);                                                                              \
    rom(&code);                                                                                    \
    load_rom(&m, &code)

Test(debug, breakpoint_counts_every_pass)
{
    static const u64 places[] = {LOOP, DEC, JNZ};
    for (size_t p = 0; p < ARRAY_LEN(places); p++) {
        for (enum vm_break_kind k = VM_BREAK_SOFT; k <= VM_BREAK_PHYS; k++) {
            SETUP(counting_rom);
            struct vm_break b = {k, places[p], 1};
            /* the ROM's copy below 1 MiB is what runs */
            cr_assert_eq(vm_debug_insert(m.vm, &b), ST_OK);
            cr_assert_eq(vm_debug_insert(m.vm, &b), ST_OK);
            for (int n = 5; n > 0; n--) {
                expect_stop(&m, VM_DEBUG_BREAK, places[p]);
                cr_expect_eq(regs(&m).gpr[1], (u64)(places[p] == JNZ ? n - 1 : n));
                cr_expect_eq(vm_debug_stop(m.vm).met.kind, k);
            }
            expect_end(&m, 15);
        }
    }
}

Test(debug, breakpoint_set_while_code_is_hot_and_removed)
{
    SETUP(counting_rom);
    struct vm_break first = {VM_BREAK_HARD, DEC, 1}, later = {VM_BREAK_SOFT, LOOP, 1};
    cr_assert_eq(vm_debug_insert(m.vm, &first), ST_OK);
    expect_stop(&m, VM_DEBUG_BREAK, DEC);
    cr_assert_eq(vm_debug_insert(m.vm, &later), ST_OK);
    expect_stop(&m, VM_DEBUG_BREAK, LOOP);
    cr_expect(vm_debug_remove(m.vm, &first));
    cr_expect_not(vm_debug_remove(m.vm, &first));
    expect_stop(&m, VM_DEBUG_BREAK, LOOP);
    vm_debug_remove_all(m.vm);
    expect_end(&m, 15);
}

Test(debug, breakpoint_holds_while_the_guest_single_steps)
{
    /* The guest sets TF: every instruction takes the slow way. IVT entry 1 is 0:0500, an IRET. */
    struct machine m;
    memset(&code, 0, sizeof(code));
    machine_init(&m);
    CODE(&code, 0xc6, 0x06, 0x00, 0x05, 0xcf);                   /* mov byte [500h], cf (iret) */
    CODE(&code, 0xc7, 0x06, 0x04, 0x00, 0x00, 0x05);             /* mov word [4], 500h */
    CODE(&code, 0xc7, 0x06, 0x06, 0x00, 0x00, 0x00);             /* mov word [6], 0 */
    CODE(&code, 0xbc, 0x00, 0x70, 0x9c, 0x58, 0x80, 0xcc, 0x01); /* sp; pushf; pop ax; or ah, 1 */
    CODE(&code, 0x50, 0x9d, 0x90, 0x90, 0x90);                   /* push ax; popf; nops */
    u64 nop = 0xf0000 + code.n - 1;
    say(&code, 'x');
    quit16(&code, 7);
    load_rom(&m, &code);
    struct vm_break b = {VM_BREAK_SOFT, nop, 1}, in_handler = {VM_BREAK_SOFT, 0x500, 1};
    vm_debug_insert(m.vm, &b);
    expect_stop(&m, VM_DEBUG_BREAK, nop);
    vm_debug_insert(m.vm, &in_handler);
    expect_stop(&m, VM_DEBUG_BREAK, 0x500);
    vm_debug_remove_all(m.vm);
    expect_end(&m, 15);
}

Test(debug, watches_stop_behind_the_access)
{
    static const struct {
        enum vm_break_kind kind;
        u64 addr;
        u32 len;
        int stops;
    } t[] = {{VM_WATCH_WRITE, 0x1234, 1, 5},  {VM_WATCH_READ, 0x1234, 1, 5},
             {VM_WATCH_ACCESS, 0x1234, 1, 5}, {VM_WATCH_WRITE, 0x1230, 8, 5},
             {VM_WATCH_WRITE, 0x1235, 8, 0},  {VM_WATCH_ACCESS, 0x1230, 4, 0}};
    for (size_t k = 0; k < ARRAY_LEN(t); k++) {
        SETUP(counting_rom);
        struct vm_break b = {t[k].kind, t[k].addr, t[k].len};
        cr_assert_eq(vm_debug_insert(m.vm, &b), ST_OK);
        for (int n = 0; n < t[k].stops; n++) {
            u8 v = 0;
            expect_stop(&m, VM_DEBUG_WATCH, DEC);
            cr_expect_eq(vm_debug_stop(m.vm).met.addr, 0x1234);
            cr_expect_eq(vm_debug_read(m.vm, 0, 0x1234, &v, 1), 1);
            cr_expect_eq(v, n + 1);
        }
        expect_end(&m, 15);
    }
}

Test(debug, step_by_step)
{
    SETUP(counting_rom);
    static const u64 path[] = {0xf0000, LOOP, DEC, JNZ, LOOP, DEC};
    for (size_t k = 0; k < ARRAY_LEN(path); k++) {
        vm_debug_step(m.vm, 0, true);
        expect_stop(&m, VM_DEBUG_STEP, path[k]);
    }
    /* a step over a breakpoint meets it no more; from elsewhere it is met before the step */
    struct vm_break b = {VM_BREAK_SOFT, DEC, 1};
    vm_debug_insert(m.vm, &b);
    vm_debug_step(m.vm, 0, true);
    expect_stop(&m, VM_DEBUG_STEP, JNZ);
    expect_stop(&m, VM_DEBUG_BREAK, DEC);
    vm_debug_remove_all(m.vm);
    expect_end(&m, 15);
}

Test(debug, interrupt_before_the_first_instruction)
{
    SETUP(counting_rom);
    vm_debug_interrupt(m.vm);
    expect_stop(&m, VM_DEBUG_INTERRUPT, 0xfffffff0);
    expect_end(&m, 15);
}

Test(debug, memory_has_no_side_effects_and_bounds)
{
    SETUP(counting_rom);
    u8 buf[4096], jump[5] = {0xea, 0, 0, 0, 0xf0};
    vm_debug_interrupt(m.vm);
    expect_stop(&m, VM_DEBUG_INTERRUPT, 0xfffffff0);
    cr_expect_eq(vm_debug_read(m.vm, 0, 0xfffffff0, buf, 16), 16);
    cr_expect_arr_eq(buf, jump, 5);
    cr_expect_eq(vm_debug_read(m.vm, 0, 0xfffffff0, buf, 64), 16, "linear memory ends at 4 GiB");
    cr_expect_eq(vm_debug_read(m.vm, 0, 1ull << 40, buf, 16), 0);
    cr_expect_eq(vm_debug_read_phys(m.vm, BIT64(52) - 4, buf, 16), 4);
    cr_expect_eq(vm_debug_read_phys(m.vm, ~0ull, buf, 16), 0);
    cr_expect_eq(vm_debug_write(m.vm, 0, 0xfffffff0, jump, 5), 0, "ROM is not written");
    /* code that is written is code that runs: prints x and goes to the end */
    static const u8 there[] = {0xb0, 'x', 0xe6, 0xe9, 0xea, 0x0e, 0x00, 0x00, 0xf0};
    cr_expect_eq(vm_debug_write(m.vm, 0, 0x2000, there, sizeof(there)), sizeof(there));
    struct cpu_regs r = regs(&m);
    r.seg[CPU_SEG_CS].sel = 0;
    r.seg[CPU_SEG_CS].base = 0;
    r.rip = 0x2000;
    vm_set_regs(m.vm, 0, &r);
    expect_end(&m, 15);
}

Test(debug, limits)
{
    SETUP(counting_rom);
    struct vm_break b = {VM_WATCH_WRITE, 0, 9};
    cr_expect_eq(vm_debug_insert(m.vm, &b), ST_RANGE);
    b.len = 0;
    cr_expect_eq(vm_debug_insert(m.vm, &b), ST_RANGE);
    b.kind = VM_BREAK_SOFT;
    for (u64 k = 0; k < VM_MAX_BREAKS; k++) {
        b.addr = 0x50000 + k;
        cr_expect_eq(vm_debug_insert(m.vm, &b), ST_OK);
    }
    b.addr++;
    cr_expect_eq(vm_debug_insert(m.vm, &b), ST_NOMEM);
    b = (struct vm_break){VM_WATCH_ACCESS, ~0ull - 3, 8}; /* wraps */
    vm_debug_remove_all(m.vm);
    cr_expect_eq(vm_debug_insert(m.vm, &b), ST_OK);
    expect_end(&m, 15);
}

Test(debug, watch_met_by_a_step)
{
    SETUP(counting_rom);
    struct vm_break at = {VM_BREAK_SOFT, LOOP, 1}, b = {VM_WATCH_WRITE, 0x1234, 1};
    vm_debug_insert(m.vm, &at);
    vm_debug_insert(m.vm, &b);
    expect_stop(&m, VM_DEBUG_BREAK, LOOP);
    vm_debug_step(m.vm, 0, true);
    expect_stop(&m, VM_DEBUG_WATCH, DEC);
    vm_debug_step(m.vm, 0, true);
    expect_stop(&m, VM_DEBUG_STEP, JNZ);
    vm_debug_remove_all(m.vm);
    expect_end(&m, 15);
}

Test(debug, interrupts_wait_during_steps)
{
    struct machine m;
    memset(&code, 0, sizeof(code));
    machine_init(&m);
    CODE(&code, 0xbc, 0x00, 0x70);                               /* mov sp, 7000h */
    CODE(&code, 0xc6, 0x06, 0x00, 0x05, 0xcf);                   /* mov byte [500h], cf (iret) */
    CODE(&code, 0xc7, 0x06, 0x20, 0x00, 0x00, 0x05);             /* mov word [20h], 500h */
    CODE(&code, 0xc7, 0x06, 0x22, 0x00, 0x00, 0x00);             /* mov word [22h], 0 */
    CODE(&code, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21); /* PIC: vectors from 8 */
    CODE(&code, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21);
    CODE(&code, 0xb0, 0xfe, 0xe6, 0x21);                         /* IRQ 0 only */
    CODE(&code, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x20, 0xe6, 0x40); /* PIT: every 32 ticks */
    CODE(&code, 0xb0, 0x00, 0xe6, 0x40, 0xfb);                   /* sti */
    u64 loop = 0xf0000 + code.n;
    CODE(&code, 0xeb, 0xfe);
    load_rom(&m, &code);
    struct vm_break b = {VM_BREAK_SOFT, loop, 1}, handler = {VM_BREAK_SOFT, 0x500, 1};
    vm_debug_insert(m.vm, &b);
    expect_stop(&m, VM_DEBUG_BREAK, loop);
    vm_debug_remove(m.vm, &b);
    for (int k = 0; k < 5000; k++) { /* 80 us: the timer has fired at 27 */
        vm_debug_step(m.vm, 0, true);
        expect_stop(&m, VM_DEBUG_STEP, loop);
    }
    vm_debug_insert(m.vm, &handler);
    expect_stop(&m, VM_DEBUG_BREAK, 0x500);
    vm_free(m.vm);
}
