/*
 * tests/trace/test_bare.c - programs alone in memory: counts that can be told beforehand.
 */
#include "tests/machine/machine_rig.h"
#include "machine/trace.h"

#include <elf.h>

static u64 run(struct vm_bare *b, enum vm_stop want, struct vm_trace_regs *r)
{
    static struct machine m;
    machine_init(&m);
    m.cfg.ram_size = 16 * MIB;
    m.cfg.bare = b;
    cr_assert_eq(machine_start(&m), ST_OK, "%s", m.err.msg);
    cr_expect_eq(vm_run(m.vm, &m.err), want);
    u64 n = vm_icount(m.vm);
    vm_trace_get(m.vm, r);
    vm_free(m.vm);
    return n;
}

/* loop: dec cx/ecx; jnz loop; hlt */
static const u8 loop32[] = {0xff, 0xc9, 0x75, 0xfc, 0xf4};
static const u8 loop16[] = {0x49, 0x75, 0xfd, 0xf4};

Test(bare, a_loop_in_each_mode)
{
    for (int bits = 16; bits <= 64; bits *= 2) {
        struct vm_trace_regs r;
        struct vm_bare b = {.image = bits == 16 ? loop16 : loop32,
                            .size = bits == 16 ? sizeof(loop16) : sizeof(loop32),
                            .org = 0x7c00,
                            .entry = 0x7c00,
                            .bits = bits,
                            .gpr = {[1] = 1000, [3] = 0x55},
                            .gpr_set = 2 | 8};
        cr_expect_eq(run(&b, VM_STOP_POWEROFF, &r), 2001);
        cr_expect_eq(r.bits, bits);
        cr_expect_eq(r.gpr[1], 0);
        cr_expect_eq(r.gpr[3], 0x55);
        cr_expect_eq(r.rip, 0x7c00 + b.size);
    }
}

Test(bare, what_cannot_be_handled_ends_it)
{
    static const u8 ud2[] = {0x90, 0x0f, 0x0b};
    struct vm_trace_regs r;
    struct vm_bare b = {
        .image = ud2, .size = sizeof(ud2), .org = 0x1000, .entry = 0x1000, .bits = 64};
    run(&b, VM_STOP_TRIPLE_FAULT, &r);
}

Test(bare, what_does_not_fit_is_refused)
{
    static struct machine m;
    struct vm_bare b = {.image = loop32, .size = sizeof(loop32), .org = 1ull << 40, .bits = 64};
    machine_init(&m);
    m.cfg.bare = &b;
    cr_expect_eq(machine_start(&m), ST_RANGE);
    b.org = 0x200000;
    b.bits = 16;
    cr_expect_eq(machine_start(&m), ST_RANGE);
    b.elf = true;
    cr_expect_eq(machine_start(&m), ST_FORMAT);
}

Test(bare, a_static_program)
{
    static u8 file[4096];
    struct vm_trace_regs r;
    Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_entry = 0x400100,
                    .e_phoff = 64,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1};
    Elf64_Phdr p = {.p_type = PT_LOAD, .p_vaddr = 0x400000, .p_filesz = 0x200, .p_memsz = 0x1000};
    memcpy(file, &h, sizeof(h));
    memcpy(file + 64, &p, sizeof(p));
    memcpy(file + 0x100, loop32, sizeof(loop32));
    struct vm_bare b = {
        .image = file, .size = sizeof(file), .elf = true, .gpr = {[1] = 3}, .gpr_set = 2};
    cr_expect_eq(run(&b, VM_STOP_POWEROFF, &r), 7);
    cr_expect_eq(r.rip, 0x400105);
    /* any byte of the heads may be anything */
    for (int k = 0; k < 120; k++) {
        static struct machine m;
        u8 was = file[k];
        file[k] ^= 0xff;
        machine_init(&m);
        m.cfg.bare = &b;
        if (machine_start(&m) == ST_OK)
            vm_free(m.vm);
        file[k] = was;
    }
}
