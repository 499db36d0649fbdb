/*
 * tests/fuzz/fuzz_ac97.c - any accesses to the 82801AA's audio function, any buffer lists, with
 * time passing and hostile saved states.
 *
 * Input: operations of one byte and what each takes. Memory is 2 MiB; lists are put in its second
 * page. After each operation: indices in range, the pin as the registers say.
 */
#include "tests/devices/pci_rig.h"
#include "tests/fuzz/fuzz_in.h"
#include "devices/ac97_priv.h"
#include "machine/mixer.h"

enum { DEVFN = PCI_DEVFN(3, 0), NAM = 0x1000, NABM = 0x1400, LIST = 0x1000, OPS = 300 };

static void play(struct audio_sink *s, const i16 *frames, size_t n)
{
}

static void places(struct pci_rig *p)
{
    cfg_write(p, DEVFN, PCI_BAR0, NAM, 4);
    cfg_write(p, DEVFN, PCI_BAR0 + 4, NABM, 4);
    cfg_write(p, DEVFN, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
}

static void operate(struct in *in, struct pci_rig *p, struct device *d)
{
    u8 op = (u8)take(in, 1), b = (u8)(op >> 4);
    u32 a;
    switch (op & 15) {
    case 0:
    case 1: /* a bus master runs over the list */
        a = NABM + b % 3 * 16u;
        space_write(p->r.ports, a, LIST, 4);
        space_write(p->r.ports, a + 5, take(in, 1), 1);
        space_write(p->r.ports, a + 11, take(in, 1), 1);
        break;
    case 2:
        space_write(p->r.ports, NABM + b % 3 * 16u + 5, take(in, 1), 1);
        break;
    case 3:
        space_write(p->r.ports, NABM + b % 3 * 16u + 6, take(in, 2), 2);
        break;
    case 4:
        space_write(p->r.ports, NABM + b % 3 * 16u + 11, take(in, 1), 1);
        break;
    case 5:
        space_write(p->r.ports, NABM + (take(in, 1) & 63), take(in, 4), 1 << (b & 3));
        break;
    case 6:
        space_read(p->r.ports, NABM + (take(in, 1) & 63), 1 << (b & 3));
        break;
    case 7:
    case 8:
        space_write(p->r.ports, NAM + take(in, 1), take(in, 2), 1 << (b & 1 ? 1 : b >> 1 & 3));
        break;
    case 9:
        space_read(p->r.ports, NAM + take(in, 1), 1 << (b & 3));
        break;
    case 10: /* a descriptor */
        st_u32(p->ram->base + LIST + (take(in, 1) & 31) * 8, take(in, 4));
        break;
    case 11:
        st_u32(p->ram->base + LIST + (take(in, 1) & 31) * 8 + 4, take(in, 2) | (u32)b << 28);
        break;
    case 12:
        cfg_write(p, DEVFN, take(in, 1), take(in, 4), 4);
        break;
    case 13:
        clock_advance(p->r.clk, take(in, 2) << b);
        break;
    case 14:
        clock_advance(p->r.clk, b * 1000000u);
        break;
    default:
        if (b)
            places(p);
        else if (!poison(d, in))
            device_reset(d);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const struct audio_sink_ops ops = {.play = play};
    static struct audio_sink sink = {&ops};
    static struct pci_rig p;
    static struct ac97 *s;
    struct in in = {data, size};
    if (!s) {
        pci_rig_init(&p, true);
        s = (struct ac97 *)ac97_new(p.bus, DEVFN, mixer_voice(mixer_new(p.r.clk, &sink)), p.r.clk);
    }
    device_reset(&s->pci.dev);
    memset(p.ram->base, 0, 2 * PAGE_SIZE);
    places(&p);
    for (int k = 0; k < OPS && in.left; k++) {
        bool irq = false;
        operate(&in, &p, &s->pci.dev);
        for (int n = 0; n < AC97_CHANNELS; n++) {
            const struct ac97_channel *c = &s->ch[n];
            MUST(c->civ < AC97_BUFFERS && c->lvi < AC97_BUFFERS && c->piv < AC97_BUFFERS);
            irq |= ((c->sr & SR_LVBCI) && (c->cr & CR_LVBIE)) ||
                   ((c->sr & SR_BCIS) && (c->cr & CR_IOCE)) ||
                   ((c->sr & SR_FIFOE) && (c->cr & CR_FEIE));
        }
        MUST(s->pci.intx == irq);
        MUST(codec_rate(s, AC97_PCM_OUT) >= 8000 && codec_rate(s, AC97_PCM_OUT) <= 48000);
    }
    return 0;
}
