/*
 * tests/insn/test_io.c - port instructions: sizes, strings, the permission bitmap, and faults that
 * lose nothing a device has given.
 */
#include <criterion/criterion.h>

#include "tests/insn/insn_test.h"

enum { PORT = 0x1f0, TSS = 0x5000, IOMAP = 0x80 };

struct fifo {
    struct device dev;
    u32 reads, last_size;
    u64 written;
};

static u64 fifo_read(struct device *d, int region, u64 off, int size)
{
    struct fifo *f = container_of(d, struct fifo, dev);
    f->last_size = (u32)size;
    return 0x0101010101010101ull * ++f->reads;
}

static void fifo_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct fifo *f = container_of(d, struct fifo, dev);
    f->last_size = (u32)size;
    f->written = f->written << 8 | (val & 0xff);
}

static const struct device_ops fifo_ops = {.name = "fifo", .read = fifo_read, .write = fifo_write};

static struct box *open_box(struct fifo *f)
{
    struct box *b = box_new("host");
    *f = (struct fifo){.dev.ops = &fifo_ops};
    space_map_io(b->ports, PORT, 8, &f->dev, 0, 4, 0);
    return b;
}

Test(io, sizes)
{
    struct fifo f;
    struct box *b = open_box(&f);
    struct regs r = {0};
    static const u8 in8[] = {0xec}, in16[] = {0x66, 0xed}, in32[] = {0xed}, in64[] = {0x48, 0xed},
                    out8[] = {0xee}, out32[] = {0xef};
    r.gpr[RDX] = 0xffff0000 | PORT;
    r.gpr[RAX] = ~0ull;
    cr_assert_eq(box_run(b, in8, 1, &r), -1);
    cr_assert_eq(r.gpr[RAX], 0xffffffffffffff01);
    cr_assert_eq(box_run(b, in16, 2, &r), -1);
    cr_assert_eq(r.gpr[RAX], 0xffffffffffff0202);
    cr_assert_eq(box_run(b, in32, 1, &r), -1);
    cr_assert_eq(r.gpr[RAX], 0x03030303);
    cr_assert_eq(box_run(b, in64, 2, &r), -1, "REX.W changes nothing");
    cr_assert_eq(f.last_size, 4);
    r.gpr[RAX] = 0x11223344;
    cr_assert_eq(box_run(b, out8, 1, &r), -1);
    cr_assert_eq(f.written, 0x44);
    cr_assert_eq(box_run(b, out32, 1, &r), -1);
    cr_assert_eq(f.last_size, 4);
    box_free(b);
}

Test(io, strings)
{
    struct fifo f;
    struct box *b = open_box(&f);
    struct regs r = {0};
    static const u8 insw[] = {0xf3, 0x66, 0x6d}, outsb[] = {0xf3, 0x6e};
    r.gpr[RDX] = PORT;
    r.gpr[RCX] = 4;
    r.gpr[RDI] = DATA_AT + 4096 - 3; /* over a page boundary */
    cr_assert_eq(box_run(b, insw, 3, &r), -1);
    cr_assert_eq(r.gpr[RCX], 0);
    cr_assert_eq(r.gpr[RDI], DATA_AT + 4096 + 5);
    cr_assert_eq(ld_u64(box_mem(b, DATA_AT + 4096 - 3)), 0x0404030302020101);
    r.gpr[RCX] = 3;
    r.gpr[RSI] = DATA_AT + 4096 + 4;
    r.flags = FL_DF;
    cr_assert_eq(box_run(b, outsb, 2, &r), -1);
    cr_assert_eq(f.written, 0x040403);
    /* a fault in the middle: what was read is stored, the rest was not read */
    f.reads = 0;
    r.flags = 0;
    r.gpr[RCX] = 8;
    r.gpr[RDI] = RAM_SIZE - 6;
    cr_assert_eq(box_run(b, insw, 3, &r), EX_PF);
    cr_assert_eq(f.reads, 3);
    cr_assert_eq(r.gpr[RCX], 5);
    cr_assert_eq(r.gpr[RDI], RAM_SIZE);
    box_free(b);
}

/* APM vol. 2, 12.2.4: CPL above IOPL asks the bitmap; every port of the access must be allowed and
 * the bitmap's bytes must lie inside the TSS. */
Test(io, permission_bitmap)
{
    struct fifo f;
    struct box *b = open_box(&f);
    static const u8 in8[] = {0xec}, in32[] = {0xed};
    struct regs r = {.gpr = {[RDX] = PORT}};
    struct seg *tr = &b->cpu->tr;
    *tr = (struct seg){.base = TSS, .limit = IOMAP + PORT / 8 + 1, .attr = ATTR_P | 11};
    st_u16(box_mem(b, TSS + 0x66), IOMAP);
    cr_assert_eq(box_run(b, in8, 1, &r), -1, "CPL 0");
    b->cpu->cpl = 3;
    cr_assert_eq(box_run(b, in8, 1, &r), -1, "allowed by the bitmap");
    cr_assert_eq(box_run(b, in32, 1, &r), -1);
    *box_mem(b, TSS + IOMAP + PORT / 8) = 0x08; /* port + 3 */
    cr_assert_eq(box_run(b, in8, 1, &r), -1);
    cr_assert_eq(box_run(b, in32, 1, &r), EX_GP);
    tr->limit--; /* the second byte of the check lies outside */
    cr_assert_eq(box_run(b, in8, 1, &r), EX_GP);
    tr->limit++;
    tr->attr = ATTR_P | 3; /* a 16-bit TSS has no bitmap */
    cr_assert_eq(box_run(b, in8, 1, &r), EX_GP);
    box_free(b);
}
