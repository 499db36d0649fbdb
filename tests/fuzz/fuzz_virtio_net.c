/*
 * tests/fuzz/fuzz_virtio_net.c - any rings, packets and commands for the virtio network device.
 *
 * Input: features, then operations of one byte and what each takes. Descriptors, rings and packets
 * are in the first 64 KiB of 2 MiB. What is broken needs a reset and gets one; nothing else ends.
 * The cable carries more than the usual, and the driver may ask how much.
 */
#include "tests/devices/net_rig.h"
#include "tests/fuzz/fuzz_in.h"
#include "devices/virtio/net.h"
#include "devices/virtio/virtio.h"

enum { PLAYGROUND = 65536, OPS = 256, RING = 16, MTU = 9000 };

static u32 table(u32 q)
{
    return 0x1000 + q % 3 * 0x1000;
}

static void set_up(struct virtio_dev *v, u32 low, u32 high)
{
    virtio_set_status(v, 0);
    virtio_set_status(v, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
    virtio_set_features(v, 0, low);
    virtio_set_features(v, 1, high);
    virtio_set_status(v, v->status | VIRTIO_S_FEATURES_OK);
    for (u32 q = 0; q < 3; q++) {
        virtq_set_size(v, q, RING);
        v->regs[q].desc = table(q);
        v->regs[q].avail = table(q) + 0x400;
        v->regs[q].used = table(q) + 0x800;
        virtq_enable(v, q, true);
    }
    virtio_set_status(v, v->status | VIRTIO_S_DRIVER_OK);
}

static void put_desc(struct in *in, u8 *ram, u32 q, u32 k)
{
    u8 *d = ram + table(q) + k % RING * 16;
    st_u64(d, 0x4000 + take(in, 1) * 32);
    st_u32(d + 8, take(in, 2));
    st_u16(d + 12, (u16)take(in, 1));
    st_u16(d + 14, (u16)take(in, 1));
}

static void operate(struct in *in, u8 *ram, struct cable *c, struct virtio_dev *v)
{
    u8 op = (u8)take(in, 1), frame[MTU + 100] = {0};
    u32 a, n, q = op >> 4 & 3;
    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        put_desc(in, ram, q, take(in, 1));
        break;
    case 3:
    case 4:
    case 5: /* one more request */
        a = table(q) + 0x400;
        n = ld_u16(ram + a + 2);
        st_u16(ram + a + 4 + n % RING * 2, (u16)take(in, 1));
        st_u16(ram + a + 2, (u16)(n + 1));
        virtio_kick(v, q);
        break;
    case 6: /* bytes */
        a = take(in, 2);
        for (n = take(in, 1); n; n--)
            ram[a++ % PLAYGROUND] = (u8)take(in, 1);
        break;
    case 7: /* a header */
        a = 0x4000 + take(in, 1) * 32;
        for (n = 0; n < 10; n++)
            ram[a + n] = (u8)take(in, 1);
        break;
    case 8: /* a header and a TCP packet, as a driver would say them */
        make_tcp(ram + 0x4040, op & 16, take(in, 2) & 0x7fff, (u8)take(in, 1),
                 &(struct net_tso){0});
        memset(ram + 0x4034, 0, 12);
        ram[0x4034] = 1;
        ram[0x4035] = op & 16 ? 4 : 1;
        st_u16(ram + 0x4038, (u16)take(in, 2));
        st_u16(ram + 0x403a, op & 16 ? 54 : 34);
        st_u16(ram + 0x403c, 16);
        break;
    case 9:
    case 10:
        n = take(in, 2) % sizeof(frame);
        for (a = 0; a < 24; a++)
            frame[a] = (u8)take(in, 1);
        if (op & 16)
            memcpy(frame, test_mac, 6);
        if ((op & 32) || c->net.can_receive(c->net.ctx))
            c->net.recv(c->net.ctx, frame, n);
        break;
    case 11:
        c->waiting = take(in, 1);
        virtio_kick(v, 0);
        break;
    case 12:
        virtio_config_write(v, take(in, 1), take(in, 4), 1 << (q % 3));
        break;
    case 13:
        set_up(v, take(in, 4), take(in, 4));
        break;
    case 14: /* rings anywhere */
        virtq_enable(v, q, false);
        if (q < 3) {
            v->regs[q].desc = take(in, 4) & ~15u;
            v->regs[q].avail = take(in, 4) & ~1u;
            v->regs[q].used = take(in, 4) & ~3u;
            virtq_enable(v, q, true);
        }
        break;
    default:
        c->net.link_down = op & 16;
        c->net.link(c->net.ctx);
        break;
    }
}

static void on_irq(void *ctx, int q)
{
    MUST(q >= -1 && q < 3);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct pci_rig p;
    static struct cable c;
    static struct virtio_dev *v;
    struct in in = {data, size};
    if (!v) {
        pci_rig_init(&p, true);
        cable_init(&c);
        c.net.mtu = MTU;
        v = virtio_net_new(test_mac, &c.net);
        virtio_attach(v, p.mem, on_irq, NULL);
        v->dma = true;
    }
    memset(p.ram->base, 0, PLAYGROUND);
    c.sent = c.waiting = 0;
    c.net.link_down = false;
    u32 low = take(&in, 4);
    set_up(v, low, ~low >> 31);
    for (int k = 0; k < OPS && in.left; k++) {
        if (v->status & VIRTIO_S_NEEDS_RESET)
            set_up(v, ~0u, 1);
        operate(&in, p.ram->base, &c, v);
        MUST(!c.bad);
    }
    device_reset(&v->dev);
    return 0;
}
