/*
 * tests/fuzz/fuzz_ports.c - any sequence of accesses to the devices of a pc board: what a guest
 * that means no good can do without its processor.
 *
 * Input: steps of 8 bytes: what (and how often), where, a 16-bit offset, a 32-bit value. The
 * machine has every device there is; their BARs lie where firmware might put them. It is reset
 * before each input, and another one is made now and then (that takes a hundred times as long).
 * Nothing is expected but that everything stays in its bounds and ends.
 */
#include "tests/fuzz/fuzz.h"
#include "base/bits.h"
#include "devices/pci.h"
#include "machine/vm_priv.h"

#include <sys/mman.h>
#include <unistd.h>

enum {
    STEP = 8,
    STEPS_MOST = 512,
    WINDOWS = 96,
    RAM_BYTES = 4 << 20,
    PIXELS = 640 * 480,
    INPUTS = 128, /* of one machine */
    LOOKS = 1,    /* of one input */
    LOW_RAM = 128 << 10
};

struct window {
    bool port;
    u64 base;
    u32 size;
};

struct rig {
    struct vm *vm;
    struct window win[WINDOWS];
    int n_win;
    struct chardev chr[8];
    struct netdev net[2];
    int inputs, looks;
};

static const struct window fixed[] = {
    {true, 0x00, 0x20},
    {true, 0x20, 2},
    {true, 0x40, 4},
    {true, 0x60, 8},
    {true, 0x70, 2},
    {true, 0x80, 16},
    {true, 0x92, 1},
    {true, 0xa0, 2},
    {true, 0xb2, 2},
    {true, 0xc0, 0x20},
    {true, 0xe9, 1},
    {true, 0xf0, 2},
    {true, 0x170, 8},
    {true, 0x1f0, 8},
    {true, 0x2e8, 8},
    {true, 0x2f8, 8},
    {true, 0x376, 1},
    {true, 0x3b0, 0x30},
    {true, 0x3e8, 8},
    {true, 0x3f0, 8},
    {true, 0x3f8, 8},
    {true, 0x402, 1},
    {true, 0x480, 16},
    {true, 0x4d0, 2},
    {true, 0x500, 0x20},
    {true, 0x600, 0x40},
    {true, 0xafe0, 4},
    {true, 0xcf8, 8},
    {true, 0xc000, 16},
    {true, 0, 0x10000},
    {false, 0xa0000, 0x20000},
    {false, 0xb8000, 0x8000},
    {false, 0xc0000, 0x40000},
    {false, 0xfec00000, 0x100},
    {false, 0xfed00000, 0x400},
    {false, 0xfffff000, 0x2000},
};

/* ---- what the host has ----------------------------------------------------------------------- */
/* A sanitizer sees the read. */
static void swallow(struct chardev *c, const u8 *buf, size_t len)
{
    static u8 copy[1 << 16];
    memcpy(copy, buf, MIN(len, sizeof(copy)));
}

static void swallow_frame(struct netdev *n, const u8 *frame, size_t len)
{
    MUST(len >= NET_FRAME_MIN && len <= NET_FRAME_MAX);
    swallow(NULL, frame, len);
}

static void stay(struct netdev *n)
{
}

static const char *rom(void)
{
    static char path[64];
    static u8 halt[65536];
    if (!path[0]) {
        int fd = memfd_create("fuzz-rom", 0);
        memset(halt, 0xf4, sizeof(halt));
        MUST(fd >= 0 && write(fd, halt, sizeof(halt)) == (ssize_t)sizeof(halt));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    return path;
}

/* ---- the machine ----------------------------------------------------------------------------- */
static void add_window(struct rig *g, bool port, u64 base, u64 size)
{
    if (g->n_win < WINDOWS)
        g->win[g->n_win++] = (struct window){port, base, (u32)MIN(size, (u64)0x100000)};
}

/* BARs as firmware would: each at a multiple of its size, and decoding. */
static void place_bars(struct rig *g)
{
    u64 mem = 0xe0000000, io = 0xd000;
    space_begin(g->vm->mem);
    space_begin(g->vm->ports);
    for (int devfn = 0; devfn < 256; devfn++) {
        struct pci_device *p = pci_find(g->vm->pci, devfn);
        for (u32 b = 0; p && b < PCI_BARS; b++) {
            u64 size = p->bar[b].size;
            u32 reg = PCI_BAR0 + 4 * b;
            if (!size || p->bar[b].kind == PCI_BAR_NONE)
                continue;
            u64 *next = p->bar[b].kind == PCI_BAR_IO ? &io : &mem;
            *next = (*next + size - 1) & ~(size - 1);
            if (*next + size > (next == &io ? 0x10000u : 0xfe000000u))
                continue;
            pci_config_write(p, reg, (u32)*next, 4);
            if (p->bar[b].kind == PCI_BAR_MEM64)
                pci_config_write(p, reg + 4, 0, 4);
            add_window(g, next == &io, *next, size);
            *next += size;
        }
        if (p)
            pci_config_write(p, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    }
    space_commit(g->vm->ports);
    space_commit(g->vm->mem);
}

static void make(struct rig *g)
{
    static const struct chardev_ops chr = {.write = swallow};
    static const struct netdev_ops net = {.send = swallow_frame, .close = stay};
    struct vm_config c;
    struct error err;

    memset(g, 0, sizeof(*g));
    vm_config_init(&c);
    c.ram_size = RAM_BYTES;
    c.cpu = "x86-64";
    c.icount = true;
    c.no_reboot = true;
    c.flat_path = rom();
    c.ide[0].block = block_new_mem(MIB);
    c.ide[2].block = block_new_mem(MIB);
    c.ide[2].cdrom = true;
    c.ide[3].cdrom = true; /* empty */
    c.floppy[0] = block_new_mem(1440 * KIB);
    for (int k = 0; k < 8; k++)
        g->chr[k].ops = &chr;
    for (int k = 0; k < VM_MAX_SERIAL; k++)
        c.serial[k] = &g->chr[k];
    c.debugcon = &g->chr[4];
    c.virtio.disk[0] = (struct vm_virtio_disk){block_new_mem(MIB), "serial", 2};
    c.virtio.port[0] = (struct vm_virtio_port){&g->chr[5], NULL, true};
    c.virtio.port[1] = (struct vm_virtio_port){&g->chr[6], "stream", false};
    c.virtio.n_ports = 2;
    c.virtio.rng = true;
    for (int k = 0; k < 2; k++) {
        g->net[k].ops = &net;
        c.nic[k] = (struct vm_nic){
            k ? VM_NIC_VIRTIO : VM_NIC_E1000, {0x52, 0x54, 0, 0x12, 0x34, (u8)k}, &g->net[k]};
    }
    if (vm_new(&c, &g->vm, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    space_set_listener(g->vm->mem, NULL, NULL); /* the CPU does not run */
    memcpy(g->win, fixed, sizeof(fixed));
}

static void power_on(struct rig *g)
{
    struct error err;
    g->n_win = (int)ARRAY_LEN(fixed);
    space_begin(g->vm->mem);
    space_begin(g->vm->ports);
    MUST(vm_power_on(g->vm, &err) == ST_OK);
    g->vm->before_kernel(g->vm); /* firmware's work */
    place_bars(g);
    space_commit(g->vm->ports);
    space_commit(g->vm->mem);
}

static void begin(struct rig *g)
{
    static const u8 zero[LOW_RAM];
    if (!g->vm || ++g->inputs == INPUTS) {
        vm_free(g->vm);
        make(g);
    }
    g->looks = 0;
    vm_write_phys(g->vm, 0, zero, sizeof(zero));
    power_on(g);
}

/* ---- steps ----------------------------------------------------------------------------------- */
static void advance(struct rig *g, u32 val)
{
    struct clock *clk = g->vm->clk;
    clock_warp(clk, clock_now(clk) + ((u64)(val & 0xffff) << (val >> 16 & 31)));
    for (int k = 0; k < 16 && clock_next(clk) <= clock_now(clk); k++)
        clock_run(clk);
}

static void from_outside(struct rig *g, u8 where, u16 off, u32 val)
{
    u8 frame[NET_FRAME_MAX];
    struct input_sink *in = vm_input(g->vm);
    struct chardev *c = &g->chr[where & 7];
    struct netdev *n = &g->net[where & 1];
    size_t len = NET_FRAME_MIN + off % (NET_FRAME_MAX - NET_FRAME_MIN + 1);

    switch (where >> 4) {
    case 0:
        in->key(in->ctx, off, val & 1);
        break;
    case 1:
        in->mouse(in->ctx, (i16)off, (i16)val, (i8)(val >> 16), val >> 24);
        break;
    case 2:
        if (c->recv)
            c->recv(c->ctx, (const u8 *)&val, MIN(c->space(c->ctx), sizeof(val)));
        break;
    case 3:
        if (c->brk)
            c->brk(c->ctx);
        break;
    case 4:
        memset(frame, (int)val, sizeof(frame));
        memcpy(frame, val & 1 ? "\xff\xff\xff\xff\xff\xff" : "\x52\x54\x00\x12\x34", 5 + (val & 1));
        frame[5] = val & 1 ? 0xff : where & 1;
        if (n->recv && n->can_receive(n->ctx))
            n->recv(n->ctx, frame, len);
        break;
    case 5:
        n->link_down = val & 1;
        if (n->link)
            n->link(n->ctx);
        break;
    case 6:
        vm_power_button(g->vm);
        inbox_drain(g->vm->inbox);
        break;
    default:
        g->vm->cpu->pic_ack(g->vm->cpu->pic_ctx);
        break;
    }
}

static void look(struct rig *g)
{
    static u32 pixels[PIXELS];
    struct screen *s = vm_screen(g->vm);
    int w = 0, h = 0, x, y;
    if (g->looks++ >= LOOKS)
        return;
    const u16 *cells = s->text(s->ctx, &w, &h, &x, &y);
    if (cells && w > 0 && h > 0)
        swallow(NULL, (const u8 *)cells, (size_t)w * (size_t)h * 2);
    s->render(s->ctx, pixels, PIXELS, &w, &h);
    MUST(w >= 0 && h >= 0 && w <= 16384 && h <= 16384);
}

static void config(struct rig *g, u8 where, u16 off, u32 val, bool write)
{
    u32 addr = 0x80000000u | (u32)(where & 0x3f) << 8 | (off & 0xfc);
    int size = 1 << (off >> 8) % 3;
    space_write(g->vm->ports, 0xcf8, addr, 4);
    if (write)
        space_write(g->vm->ports, 0xcfc + (off & 3 & ~(u32)(size - 1)), val, size);
    else
        space_read(g->vm->ports, 0xcfc + (off & 3 & ~(u32)(size - 1)), size);
}

static void step(struct rig *g, const u8 *p)
{
    u16 off = ld_u16(p + 2);
    u32 val = ld_u32(p + 4);
    const struct window *w = &g->win[p[1] % g->n_win];
    struct space *sp = w->port ? g->vm->ports : g->vm->mem;
    u64 at = w->base + off % w->size;
    int size = 1 << (p[0] >> 4 & 3), times = p[0] >> 7 ? 1 + (int)(p[0] >> 6 & 1) * 511 : 1;

    if (w->size > 0x10000)
        at = w->base + (off * 0x11ull) % w->size;
    switch (p[0] & 15) {
    case 0 ... 4:
        for (int k = 0; k < times; k++)
            space_write(sp, at, size == 8 ? val * 0x100000001ull : val, size);
        break;
    case 5 ... 7:
        for (int k = 0; k < times; k++)
            space_read(sp, at, size);
        break;
    case 8:
        config(g, p[1], off, val, true);
        break;
    case 9:
        config(g, p[1], off, val, false);
        break;
    case 10 ... 12: /* descriptors for DMA, in the first 64 KiB; addresses in there, too */
        vm_write_phys(g->vm, off, p[0] & 16 ? (const u8 *)&(u32){val & 0xffff} : p + 4, 4);
        break;
    case 13:
        advance(g, val);
        break;
    case 14:
        from_outside(g, p[1], off, val);
        break;
    default:
        look(g);
        break;
    }
    /* a reset that was asked for: between instructions, as vm_run does it */
    if (g->vm->events & EV_RESET)
        power_on(g);
    g->vm->events = 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct rig g;
    if (size < STEP)
        return 0;
    begin(&g);
    for (size_t k = 0; k + STEP <= size && k < STEP * STEPS_MOST; k += STEP)
        step(&g, data + k);
    return 0;
}
