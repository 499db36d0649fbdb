/* tests/audio/test_ac97.c - the 82801AA's audio function: buffer lists, interrupts, codec. */
#include "tests/audio/audio_rig.h"
#include "tests/devices/pci_rig.h"
#include "devices/ac97.h"
#include "machine/mixer.h"

enum { DEVFN = PCI_DEVFN(3, 0), NAM = 0x1000, NABM = 0x1400, PO = NABM + 0x10, LIST = 0x8000 };
enum { BDBAR = 0, CIV = 4, LVI = 5, SR = 6, PICB = 8, CR = 11, GLOB_CNT = 0x2c, GLOB_STA = 0x30 };

struct card {
    struct pci_rig p;
    struct tape tape;
    struct device *mixer, *d;
    struct probe *pin;
};

static void start(struct card *c)
{
    memset(c, 0, sizeof(*c));
    pci_rig_init(&c->p, true);
    tape_init(&c->tape);
    c->mixer = mixer_new(c->p.r.clk, &c->tape.sink);
    c->d = ac97_new(c->p.bus, DEVFN, mixer_voice(c->mixer), c->p.r.clk);
    c->pin = &c->p.pirq[(3 + 1 - 2) & 3];
    cfg_write(&c->p, DEVFN, PCI_BAR0, NAM, 4);
    cfg_write(&c->p, DEVFN, PCI_BAR0 + 4, NABM, 4);
    cfg_write(&c->p, DEVFN, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
}

static void stop(struct card *c)
{
    device_destroy(c->d);
    device_destroy(c->mixer);
    pci_rig_fini(&c->p);
    free(c->tape.frames);
}

static u32 in(struct card *c, u16 port, int size)
{
    return (u32)space_read(c->p.r.ports, port, size);
}

static void out(struct card *c, u16 port, u32 val, int size)
{
    space_write(c->p.r.ports, port, val, size);
}

static void ms(struct card *c, u64 n)
{
    clock_advance(c->p.r.clk, n * 1000000);
}

/* Buffer k of a list: samples of 16 bits from addr. */
static void buffer(struct card *c, u32 k, u32 addr, u32 samples, bool ioc)
{
    st_u32(c->p.ram->base + LIST + 8 * k, addr);
    st_u32(c->p.ram->base + LIST + 8 * k + 4, samples | (ioc ? 0x80000000u : 0));
}

static void wake(struct card *c)
{
    out(c, NABM + GLOB_CNT, 2, 4);
    out(c, NAM + 0x02, 0, 2);
    out(c, NAM + 0x18, 0x0808, 2);
}

Test(ac97, is_what_drivers_look_for)
{
    struct card c;
    start(&c);
    cr_expect_eq(cfg_read(&c.p, DEVFN, 0, 4), 0x24158086u);
    cr_expect_eq(cfg_read(&c.p, DEVFN, 8, 4) >> 8, 0x040100u);
    cr_expect_eq(in(&c, NABM + GLOB_STA, 4) & 0x100, 0, "the link is in reset");
    wake(&c);
    cr_expect_eq(in(&c, NABM + GLOB_STA, 4) & 0x100, 0x100);
    out(&c, NABM + GLOB_CNT, 6, 4);
    cr_expect_eq(in(&c, NABM + GLOB_CNT, 4), 2, "a warm reset ends by itself");
    cr_expect_eq(in(&c, NABM + 0x34, 1), 0);
    cr_expect_eq(in(&c, NABM + 0x34, 1), 1, "the semaphore is taken by reading");
    cr_expect_eq(in(&c, NAM + 0x7c, 2), 0x8384);
    cr_expect_eq(in(&c, NABM + 0x34, 1), 0, "and given back by the codec");
    cr_expect_eq(in(&c, PO + SR, 2), 1);
    cr_expect_eq(in(&c, PO + CIV, 4), 0x00010000u);
    stop(&c);
}

Test(ac97, codec_registers)
{
    struct card c;
    start(&c);
    wake(&c);
    out(&c, NAM + 0x02, 0xffff, 2);
    cr_expect_eq(in(&c, NAM + 0x02, 2), 0x9f1f, "five bits");
    out(&c, NAM + 0x02, 0x2020, 2);
    cr_expect_eq(in(&c, NAM + 0x02, 2), 0x1f1f);
    cr_expect_eq(in(&c, NAM + 0x26, 2) & 15, 15);
    cr_expect_eq(in(&c, NAM + 0x28, 2) & 1, 1);
    out(&c, NAM + 0x2c, 22050, 2);
    cr_expect_eq(in(&c, NAM + 0x2c, 2), 48000, "fixed until it is allowed");
    out(&c, NAM + 0x2a, 1, 2);
    out(&c, NAM + 0x2c, 22050, 2);
    cr_expect_eq(in(&c, NAM + 0x2c, 2), 22050);
    out(&c, NAM + 0x2c, 100, 2);
    cr_expect_eq(in(&c, NAM + 0x2c, 2), 8000);
    out(&c, NAM + 0x2a, 0, 2);
    cr_expect_eq(in(&c, NAM + 0x2c, 2), 48000);
    out(&c, NAM + 0x00, 0, 2);
    cr_expect_eq(in(&c, NAM + 0x02, 2), 0x8000);
    stop(&c);
}

/* Three buffers of 10 ms, the last the last valid one. */
Test(ac97, list_to_its_end)
{
    struct card c;
    start(&c);
    wake(&c);
    for (u32 k = 0; k < 3; k++)
        buffer(&c, k, 0x10000 + k * 0x1000, 960, k != 1);
    out(&c, PO + BDBAR, LIST, 4);
    out(&c, PO + LVI, 2, 1);
    out(&c, PO + CR, 0x15, 1); /* run, both interrupts */
    cr_expect_eq(in(&c, PO + SR, 2) & 1, 0);
    ms(&c, 5);
    cr_expect_eq(in(&c, PO + PICB, 2), 480);
    ms(&c, 6);
    cr_expect_eq(in(&c, PO + CIV, 1), 1);
    cr_expect(c.pin->level);
    cr_expect_eq(in(&c, NABM + GLOB_STA, 4) & 0x40, 0x40);
    out(&c, PO + SR, 8, 2);
    cr_expect(!c.pin->level);
    ms(&c, 10);
    cr_expect_eq(in(&c, PO + CIV, 1), 2);
    cr_expect(!c.pin->level, "this buffer says nothing");
    ms(&c, 10);
    cr_expect_eq(in(&c, PO + SR, 2), 0x0f, "halted, at the last, both reasons");
    cr_expect(c.pin->level);
    out(&c, PO + SR, 0x1c, 2);
    cr_expect(!c.pin->level);
    cr_expect_eq(in(&c, PO + PICB, 2), 0);
    /* more: it goes on with the next */
    buffer(&c, 3, 0x10000, 960, true);
    out(&c, PO + LVI, 3, 1);
    ms(&c, 5);
    cr_expect_eq(in(&c, PO + CIV, 1), 3);
    cr_expect_eq(in(&c, PO + PICB, 2), 480);
    /* pause and go on in the same place */
    out(&c, PO + CR, 0x14, 1);
    ms(&c, 50);
    cr_expect_eq(in(&c, PO + PICB, 2), 480);
    out(&c, PO + CR, 0x15, 1);
    ms(&c, 2);
    cr_expect_eq(in(&c, PO + PICB, 2), 288);
    out(&c, PO + CR, 0, 1);
    out(&c, PO + CR, 2, 1);
    cr_expect_eq(in(&c, PO + BDBAR, 4), 0);
    cr_expect_eq(in(&c, PO + SR, 2), 1);
    stop(&c);
}

static void tone(struct card *c, u32 frames, u32 period)
{
    for (u32 k = 0; k < frames; k++) {
        double x = 2 * M_PI * k / period;
        st_u16(c->p.ram->base + 0x10000 + 4 * k, (u16)(i16)lrint(12000 * sin(x)));
        st_u16(c->p.ram->base + 0x10002 + 4 * k, (u16)(i16)lrint(6000 * sin(2 * x)));
    }
    for (u32 k = 0; k < 32; k++)
        buffer(c, k, 0x10000, 2 * frames, true);
    out(c, PO + BDBAR, LIST, 4);
    out(c, PO + LVI, 31, 1);
}

/* A tone, its rate changed under way; 1.5 dB steps of volume; mute. */
Test(ac97, plays)
{
    struct card c;
    start(&c);
    wake(&c);
    out(&c, NAM + 0x2a, 1, 2);
    tone(&c, 4800, 48);
    out(&c, PO + CR, 0x11, 1);
    for (u32 k = 0; k < 90; k++) {
        if (k == 30)
            out(&c, NAM + 0x2c, 24000, 2);
        if (k == 60)
            out(&c, NAM + 0x02, 0x8000, 2);
        ms(&c, 10);
        if (in(&c, PO + SR, 2) & 8) {
            out(&c, PO + SR, 8, 2);
            out(&c, PO + LVI, (in(&c, PO + CIV, 1) + 31) & 31, 1);
        }
    }
    expect_tone(&c.tape, 0, 2000, 8192, 1000, 11900);
    expect_tone(&c.tape, 1, 2000, 8192, 2000, 5900);
    expect_tone(&c.tape, 0, 17000, 8192, 500, 11900);
    cr_expect_lt(level(&c.tape, 0, 31000, 8192, 500), 1, "muted");
    stop(&c);
}

/* Recording gives silence, in time. */
Test(ac97, recording)
{
    struct card c;
    start(&c);
    wake(&c);
    memset(c.p.ram->base + 0x10000, 1, 4096);
    buffer(&c, 0, 0x10000, 960, true);
    out(&c, NABM + BDBAR, LIST, 4);
    out(&c, NABM + CR, 0x11, 1);
    ms(&c, 11);
    cr_expect_eq(in(&c, NABM + GLOB_STA, 4) & 0x20, 0x20);
    for (u32 k = 0; k < 1920; k++)
        cr_expect_eq(c.p.ram->base[0x10000 + k], 0);
    cr_expect_eq(c.p.ram->base[0x10000 + 1920], 1);
    stop(&c);
}

/* Buffers of no length, a list that is nowhere, no bus mastering. */
Test(ac97, bad_lists)
{
    struct card c;
    start(&c);
    wake(&c);
    for (u32 k = 0; k < 32; k++)
        buffer(&c, k, 0x10000, 0, true);
    out(&c, PO + BDBAR, LIST, 4);
    out(&c, PO + LVI, 31, 1);
    out(&c, PO + CR, 0x15, 1);
    for (int k = 0; k < 100; k++) {
        ms(&c, 1);
        out(&c, PO + SR, 8, 2);
    }
    cr_expect_eq(in(&c, PO + SR, 2) & 7, 7, "at its end");
    out(&c, PO + CR, 0, 1);
    out(&c, PO + CR, 2, 1);
    out(&c, PO + BDBAR, 0xfffffff8, 4);
    out(&c, PO + LVI, 31, 1);
    out(&c, PO + CR, 0x15, 1);
    ms(&c, 100);
    out(&c, PO + CR, 0, 1);
    out(&c, PO + CR, 2, 1);
    cfg_write(&c.p, DEVFN, PCI_COMMAND, PCI_CMD_IO, 2);
    out(&c, PO + CR, 0x19, 1);
    cr_expect_eq(in(&c, PO + SR, 2), 0x11);
    cr_expect(c.pin->level, "a FIFO error");
    stop(&c);
}

Test(ac97, save_and_restore)
{
    struct card a, b;
    start(&a);
    start(&b);
    wake(&a);
    tone(&a, 480, 48);
    memcpy(b.p.ram->base, a.p.ram->base, 2 * MIB);
    out(&a, PO + CR, 0x11, 1);
    clock_advance(a.p.r.clk, 14765432);
    clock_advance(b.p.r.clk, 14765432);
    cr_assert(clone_state(a.d, b.d));
    for (int k = 0; k < 60; k++) {
        clock_advance(a.p.r.clk, 1777777);
        clock_advance(b.p.r.clk, 1777777);
        cr_expect_eq(in(&a, PO + PICB, 2), in(&b, PO + PICB, 2));
        cr_expect_eq(in(&a, PO + CIV, 4), in(&b, PO + CIV, 4));
        cr_expect_eq(a.pin->level, b.pin->level);
        if (k % 7 == 0) {
            out(&a, PO + SR, 8, 2);
            out(&b, PO + SR, 8, 2);
        }
    }
    stop(&a);
    stop(&b);
}
