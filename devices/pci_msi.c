/*
 * devices/pci_msi.c - message-signalled interrupts of PCI functions, MSI and MSI-X.
 *
 * What it is not: per-vector masking of MSI (MSI-X has it).
 *
 * Invariant: an MSI-X vector's pending bit is set only while it is masked.
 *
 * Manual: PCI Local Bus Specification 3.0, 6.8.1 (MSI), 6.8.2 (MSI-X).
 */
#include "devices/pci_priv.h"
#include "base/bits.h"
#include "base/log.h"

enum { CAP_MSI = 0x05, CAP_MSIX = 0x11 };
enum { MSI_ENABLE = 0x0001, MSI_64 = 0x0080 };
enum { MSIX_FUNCTION_MASK = 0x4000, MSIX_ENABLE = 0x8000 };
enum { MSIX_BAR_SIZE = 0x1000, MSIX_PBA = 0x800, ENTRY_MASKED = 1 };

/* ---- MSI ---------------------------------------------------------------------------------------
 */
void pci_msi_init(struct pci_device *p, int vectors)
{
    CHECK(!p->msi_cap && is_pow2((u64)vectors) && vectors <= 32);
    int c = p->msi_cap = pci_add_cap(p, CAP_MSI, 14);
    pci_set(p, (u32)c + 2, MSI_64 | (u32)__builtin_ctz((u32)vectors) << 1, 2);
    pci_writable(p, (u32)c + 2, MSI_ENABLE | 0x70, 2);
    pci_writable(p, (u32)c + 4, 0xfffffffc, 4);
    pci_writable(p, (u32)c + 8, 0xffffffff, 4);
    pci_writable(p, (u32)c + 12, 0xffff, 2);
}

bool pci_msi_enabled(const struct pci_device *p)
{
    return p->msi_cap && (p->config[p->msi_cap + 2] & MSI_ENABLE);
}

void pci_msi_notify(struct pci_device *p, int vector)
{
    if (!pci_msi_enabled(p))
        return;
    const u8 *c = p->config + p->msi_cap;
    u16 control = ld_u16(c + 2);
    /* The guest may grant fewer than asked for; more than asked for, or reserved values, are not a
     * grant. */
    u32 granted = BIT((u32)MIN(bits(control, 6, 4), bits(control, 3, 1)));
    u64 addr = ld_u32(c + 4) | (u64)ld_u32(c + 8) << 32;
    pci_send_msi(p, addr, (ld_u16(c + 12) & ~(granted - 1)) | ((u32)vector & (granted - 1)));
}

/* ---- MSI-X -------------------------------------------------------------------------------------
 */
static u16 msix_control(const struct pci_msix *x)
{
    return ld_u16(x->owner->config + x->owner->msix_cap + 2);
}

bool pci_msix_enabled(const struct pci_msix *x)
{
    return msix_control(x) & MSIX_ENABLE;
}

static bool masked(const struct pci_msix *x, int v)
{
    return (msix_control(x) & MSIX_FUNCTION_MASK) || (x->table[v * 16 + 12] & ENTRY_MASKED);
}

static void send(struct pci_msix *x, int v)
{
    const u8 *e = x->table + v * 16;
    pci_send_msi(x->owner, (ld_u64(e) & ~3ull), ld_u32(e + 8));
}

void pci_msix_notify(struct pci_msix *x, int vector)
{
    if (vector < 0 || vector >= x->vectors || !pci_msix_enabled(x))
        return;
    if (masked(x, vector))
        x->pending |= BIT64(vector);
    else
        send(x, vector);
}

static void deliver_pending(struct pci_msix *x)
{
    for (int v = 0; v < x->vectors && pci_msix_enabled(x); v++) {
        if ((x->pending & BIT64(v)) && !masked(x, v)) {
            x->pending &= ~BIT64(v);
            send(x, v);
        }
    }
}

static u64 msix_read(struct device *d, int region, u64 off, int size)
{
    struct pci_msix *x = container_of(d, struct pci_msix, dev);
    u64 table = (u64)x->vectors * 16;
    if (off + (u64)size <= table)
        return ld_le(x->table + off, size);
    if (off >= MSIX_PBA && off + (u64)size <= MSIX_PBA + 8)
        return x->pending >> (8 * (off - MSIX_PBA)) & size_mask(size);
    return 0;
}

static void msix_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct pci_msix *x = container_of(d, struct pci_msix, dev);
    if (off + (u64)size > (u64)x->vectors * 16)
        return; /* the pending bits are read-only */
    st_le(x->table + off, val, size);
    deliver_pending(x);
}

static const struct device_ops msix_ops = {
    .name = "msix",
    .read = msix_read,
    .write = msix_write,
    .peek = msix_read,
};

void pci_msix_config_written(struct pci_msix *x)
{
    deliver_pending(x);
}

void pci_msix_init(struct pci_device *p, struct pci_msix *x, int bar, int vectors)
{
    CHECK(!p->msix_cap && vectors >= 1 && vectors <= PCI_MSIX_MAX);
    *x = (struct pci_msix){.dev.ops = &msix_ops, .owner = p, .vectors = vectors};
    p->msix = x;
    int c = p->msix_cap = pci_add_cap(p, CAP_MSIX, 12);
    pci_set(p, (u32)c + 2, (u32)vectors - 1, 2);
    pci_writable(p, (u32)c + 2, MSIX_ENABLE | MSIX_FUNCTION_MASK, 2);
    pci_set(p, (u32)c + 4, (u32)bar, 4);
    pci_set(p, (u32)c + 8, MSIX_PBA | (u32)bar, 4);
    pci_bar_io(p, bar, PCI_BAR_MEM, MSIX_BAR_SIZE, &x->dev, 0, 8);
    pci_msix_reset(x);
}

void pci_msix_reset(struct pci_msix *x)
{
    memset(x->table, 0, sizeof(x->table));
    for (int v = 0; v < PCI_MSIX_MAX; v++)
        x->table[v * 16 + 12] = ENTRY_MASKED;
    x->pending = 0;
}

bool pci_msix_loaded(struct pci_msix *x)
{
    x->pending &= ~0ull >> (64 - x->vectors);
    deliver_pending(x);
    return true;
}
