/*
 * devices/virtio/virtio_pci.c - the PCI transport: 1af4:10xx, modern and, where the device is older
 * than 1.0, transitional.
 *
 * What it is: vendor capabilities with the common, notify, ISR and device regions in BAR 4 and the
 * window to them in configuration space; MSI-X (BAR 1) or INTA; the legacy registers in BAR 0,
 * which firmware and small kernels still use. What it is not: a device model (it knows none).
 *
 * Invariants: the pin is high exactly while isr is not zero; isr is only set while MSI-X is off;
 * every vector is below the table's size or NO_VECTOR; the device may reach memory exactly while
 * the function is a bus master.
 *
 * Manual: VIRTIO 1.2, section 4.1 (4.1.4 structure layouts, 4.1.4.10 legacy, 4.1.5 operations).
 */
#include "base/bits.h"
#include "base/log.h"
#include "devices/pci.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_MODERN = 4 };
enum { REGION_LEGACY, REGION_MODERN };
/* Where the parts lie in BAR 4. */
enum { COMMON = 0, ISR = 0x1000, DEVICE = 0x2000, NOTIFY = 0x3000, PART = 0x1000 };
enum { COMMON_SIZE = 56, MODERN_SIZE = 0x4000, NOTIFY_STEP = 4 };
enum { CAP_VENDOR = 9, CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_CFG };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { NO_VECTOR = 0xffff, LEGACY_ALIGN = 4096, LEGACY_CONFIG = 20 };

/* The common structure, 4.1.4.3. */
enum {
    C_DEVICE_FEATURE_SELECT = 0,
    C_DEVICE_FEATURE = 4,
    C_DRIVER_FEATURE_SELECT = 8,
    C_DRIVER_FEATURE = 12,
    C_CONFIG_VECTOR = 16,
    C_NUM_QUEUES = 18,
    C_STATUS = 20,
    C_GENERATION = 21,
    C_QUEUE_SELECT = 22,
    C_QUEUE_SIZE = 24,
    C_QUEUE_VECTOR = 26,
    C_QUEUE_ENABLE = 28,
    C_QUEUE_NOTIFY_OFF = 30,
    C_QUEUE_DESC = 32,
    C_QUEUE_DRIVER = 40,
    C_QUEUE_DEVICE = 48,
};

/* The legacy header, 4.1.4.10. */
enum {
    L_DEVICE_FEATURES = 0,
    L_DRIVER_FEATURES = 4,
    L_QUEUE_ADDRESS = 8,
    L_QUEUE_SIZE = 12,
    L_QUEUE_SELECT = 14,
    L_QUEUE_NOTIFY = 16,
    L_STATUS = 18,
    L_ISR = 19,
    L_CONFIG_VECTOR = 20, /* these two only while MSI-X is enabled */
    L_QUEUE_VECTOR = 22,
};

struct virtio_pci {
    struct pci_device pci;
    struct pci_msix msix;
    struct virtio_dev *v;
    int cfg_cap; /* offset of the window's capability */
    u8 isr;
    u16 queue_select;
    u32 device_word, driver_word; /* feature selects */
    u16 config_vector, queue_vector[VIRTIO_QUEUES];
};

/* ---- interrupts -------------------------------------------------------------------------------
 */
static void set_isr(struct virtio_pci *t, u8 isr)
{
    t->isr = isr;
    pci_set_intx(&t->pci, isr != 0);
}

static void interrupt(void *ctx, int q)
{
    struct virtio_pci *t = ctx;
    u16 vector = q < 0 ? t->config_vector : t->queue_vector[q];

    if (!pci_msix_enabled(&t->msix))
        set_isr(t, t->isr | (q < 0 ? ISR_CONFIG : ISR_QUEUE));
    else if (vector != NO_VECTOR)
        pci_msix_notify(&t->msix, vector);
}

static u8 take_isr(struct virtio_pci *t)
{
    u8 isr = t->isr;
    set_isr(t, 0);
    return isr;
}

static u16 good_vector(const struct virtio_pci *t, u64 vector)
{
    return vector < (u64)t->msix.vectors ? (u16)vector : NO_VECTOR;
}

/* ---- what a reset by the driver takes with it ---------------------------------------------------
 */
static void forget(struct virtio_pci *t)
{
    set_isr(t, 0);
    t->queue_select = 0;
    t->device_word = t->driver_word = 0;
    t->config_vector = NO_VECTOR;
    memset(t->queue_vector, 0xff, sizeof(t->queue_vector));
}

static void set_status(struct virtio_pci *t, u8 status)
{
    if (!status)
        forget(t);
    virtio_set_status(t->v, status);
}

/* The queue that is selected; NULL when there is none of that number. */
static struct virtq_regs *selected(const struct virtio_pci *t)
{
    return t->queue_select < t->v->queues ? &t->v->regs[t->queue_select] : NULL;
}

/* ---- the common structure
 * ------------------------------------------------------------------------ */
static u64 common_read(struct virtio_pci *t, u64 off, int size)
{
    struct virtio_dev *v = t->v;
    const struct virtq_regs *r = selected(t);
    u8 c[COMMON_SIZE + 8] = {0};

    if (off >= COMMON_SIZE)
        return 0;
    st_u32(c + C_DEVICE_FEATURE_SELECT, t->device_word);
    if (t->device_word < 2)
        st_u32(c + C_DEVICE_FEATURE, (u32)(v->offered >> (32 * t->device_word)));
    st_u32(c + C_DRIVER_FEATURE_SELECT, t->driver_word);
    if (t->driver_word < 2)
        st_u32(c + C_DRIVER_FEATURE, (u32)(v->features >> (32 * t->driver_word)));
    st_u16(c + C_CONFIG_VECTOR, t->config_vector);
    st_u16(c + C_NUM_QUEUES, (u16)v->queues);
    c[C_STATUS] = v->status;
    c[C_GENERATION] = (u8)v->generation;
    st_u16(c + C_QUEUE_SELECT, t->queue_select);
    if (r) { /* else the size 0 says that there is no such queue */
        st_u16(c + C_QUEUE_SIZE, r->size);
        st_u16(c + C_QUEUE_VECTOR, t->queue_vector[t->queue_select]);
        st_u16(c + C_QUEUE_ENABLE, r->ready);
        st_u16(c + C_QUEUE_NOTIFY_OFF, t->queue_select);
        st_u64(c + C_QUEUE_DESC, r->desc);
        st_u64(c + C_QUEUE_DRIVER, r->avail);
        st_u64(c + C_QUEUE_DEVICE, r->used);
    }
    return ld_le(c + off, size);
}

/* Half of a 64-bit address. */
static void set_half(struct virtq_regs *r, u64 *addr, bool high, u64 val)
{
    if (!r->ready)
        *addr = high ? (*addr & UINT32_MAX) | val << 32 : (*addr & ~(u64)UINT32_MAX) | (u32)val;
}

static void common_write(struct virtio_pci *t, u64 off, u64 val, int size)
{
    struct virtio_dev *v = t->v;
    struct virtq_regs *r = selected(t);

    switch (off) {
    case C_DEVICE_FEATURE_SELECT:
        t->device_word = (u32)val;
        return;
    case C_DRIVER_FEATURE_SELECT:
        t->driver_word = (u32)val;
        return;
    case C_DRIVER_FEATURE:
        virtio_set_features(v, t->driver_word, (u32)val);
        return;
    case C_CONFIG_VECTOR:
        t->config_vector = good_vector(t, val);
        return;
    case C_STATUS:
        set_status(t, (u8)val);
        return;
    case C_QUEUE_SELECT:
        t->queue_select = (u16)val;
        return;
    }
    if (!r)
        return;
    switch (off) {
    case C_QUEUE_SIZE:
        virtq_set_size(v, t->queue_select, (u16)val);
        return;
    case C_QUEUE_VECTOR:
        t->queue_vector[t->queue_select] = good_vector(t, val);
        return;
    case C_QUEUE_ENABLE:
        if (val == 1) /* only a reset disables (4.1.4.3.2) */
            virtq_enable(v, t->queue_select, true);
        return;
    case C_QUEUE_DESC:
    case C_QUEUE_DESC + 4:
        set_half(r, &r->desc, off & 4, val);
        return;
    case C_QUEUE_DRIVER:
    case C_QUEUE_DRIVER + 4:
        set_half(r, &r->avail, off & 4, val);
        return;
    case C_QUEUE_DEVICE:
    case C_QUEUE_DEVICE + 4:
        set_half(r, &r->used, off & 4, val);
        return;
    }
}

/* ---- BAR 4
 * ---------------------------------------------------------------------------------------- */
static u64 modern_read(struct virtio_pci *t, u64 off, int size)
{
    switch (off & ~(PART - 1ull)) {
    case COMMON:
        return common_read(t, off, size);
    case ISR:
        return off == ISR ? take_isr(t) : 0;
    case DEVICE:
        return virtio_config_read(t->v, (u32)(off - DEVICE), size);
    default:
        return 0;
    }
}

static void modern_write(struct virtio_pci *t, u64 off, u64 val, int size)
{
    switch (off & ~(PART - 1ull)) {
    case COMMON:
        common_write(t, off, val, size);
        break;
    case DEVICE:
        virtio_config_write(t->v, (u32)(off - DEVICE), (u32)val, size);
        break;
    case NOTIFY:
        virtio_kick(t->v, (u32)(off - NOTIFY) / NOTIFY_STEP);
        break;
    }
}

/* ---- BAR 0
 * ---------------------------------------------------------------------------------------- */
static u32 legacy_config_at(const struct virtio_pci *t)
{
    return LEGACY_CONFIG + (pci_msix_enabled(&t->msix) ? 4 : 0);
}

static u64 legacy_read(struct virtio_pci *t, u64 off, int size)
{
    struct virtio_dev *v = t->v;
    const struct virtq_regs *r = selected(t);
    u32 config = legacy_config_at(t);
    u8 c[LEGACY_CONFIG + 12] = {0};

    if (off >= config)
        return virtio_config_read(v, (u32)off - config, size);
    st_u32(c + L_DEVICE_FEATURES, (u32)v->offered);
    st_u32(c + L_DRIVER_FEATURES, (u32)v->features);
    if (r) {
        st_u32(c + L_QUEUE_ADDRESS, r->ready ? (u32)(r->desc / LEGACY_ALIGN) : 0);
        st_u16(c + L_QUEUE_SIZE, r->size);
        st_u16(c + L_QUEUE_VECTOR, t->queue_vector[t->queue_select]);
    }
    st_u16(c + L_QUEUE_SELECT, t->queue_select);
    c[L_STATUS] = v->status;
    st_u16(c + L_CONFIG_VECTOR, t->config_vector);
    if (off <= L_ISR && off + (u64)size > L_ISR)
        c[L_ISR] = take_isr(t);
    return ld_le(c + off, size);
}

/* A driver that has it from before 2.6.34, and some small kernels, never set the master bit. */
static void force_master(struct virtio_pci *t)
{
    u16 command = pci_command(&t->pci);
    if (!(command & PCI_CMD_MASTER))
        pci_config_write(&t->pci, PCI_COMMAND, command | PCI_CMD_MASTER, 2);
}

static void legacy_write(struct virtio_pci *t, u64 off, u64 val, int size)
{
    struct virtio_dev *v = t->v;
    u32 config = legacy_config_at(t);

    if (off >= config) {
        virtio_config_write(v, (u32)off - config, (u32)val, size);
        return;
    }
    switch (off) {
    case L_DRIVER_FEATURES:
        virtio_set_features(v, 0, (u32)val);
        break;
    case L_QUEUE_ADDRESS:
        virtq_set_legacy(v, t->queue_select, (val & UINT32_MAX) * LEGACY_ALIGN, LEGACY_ALIGN);
        break;
    case L_QUEUE_SELECT:
        t->queue_select = (u16)val;
        break;
    case L_QUEUE_NOTIFY:
        virtio_kick(v, (u16)val);
        break;
    case L_STATUS:
        if (val & VIRTIO_S_DRIVER_OK)
            force_master(t);
        set_status(t, (u8)val);
        break;
    case L_CONFIG_VECTOR:
        t->config_vector = good_vector(t, val);
        break;
    case L_QUEUE_VECTOR:
        if (selected(t))
            t->queue_vector[t->queue_select] = good_vector(t, val);
        break;
    }
}

/* ---- the window in configuration space: 4.1.4.9
 * ----------------------------------------------------- */
/* Whether [off, off+size) of configuration space is the window, and what it shows. */
static bool window(const struct virtio_pci *t, u32 off, int size, u32 *at, int *len)
{
    const u8 *cap = t->pci.config + t->cfg_cap;
    u32 data = (u32)t->cfg_cap + 16;
    *at = ld_u32(cap + 8);
    *len = (int)ld_u32(cap + 12);
    return off == data && size <= 4 && cap[4] == BAR_MODERN &&
           (*len == 1 || *len == 2 || *len == 4) && size >= *len && *at % (u32)*len == 0 &&
           *at <= MODERN_SIZE - (u32)*len;
}

static void config_reading(struct pci_device *p, u32 off, int size)
{
    struct virtio_pci *t = container_of(p, struct virtio_pci, pci);
    u32 at;
    int len;
    if (window(t, off, size, &at, &len))
        st_le(p->config + off, modern_read(t, at, len), len);
}

static void config_written(struct pci_device *p, u32 off, int size)
{
    struct virtio_pci *t = container_of(p, struct virtio_pci, pci);
    u32 at;
    int len;
    t->v->dma = pci_command(p) & PCI_CMD_MASTER;
    if (window(t, off, size, &at, &len))
        modern_write(t, at, ld_le(p->config + off, len), len);
}

/* ---- the chip
 * -------------------------------------------------------------------------------------- */
static u64 virtio_pci_read(struct device *d, int region, u64 off, int size)
{
    struct virtio_pci *t = (struct virtio_pci *)d;
    return region == REGION_LEGACY ? legacy_read(t, off, size) : modern_read(t, off, size);
}

static void virtio_pci_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct virtio_pci *t = (struct virtio_pci *)d;
    if (region == REGION_LEGACY)
        legacy_write(t, off, val, size);
    else
        modern_write(t, off, val, size);
}

static void virtio_pci_reset(struct device *d)
{
    struct virtio_pci *t = (struct virtio_pci *)d;
    pci_reset(&t->pci);
    pci_msix_reset(&t->msix);
    forget(t);
    t->v->dma = false;
}

static bool virtio_pci_loaded(struct device *d)
{
    struct virtio_pci *t = (struct virtio_pci *)d;
    t->isr &= ISR_QUEUE | ISR_CONFIG;
    t->pci.intx = t->isr != 0;
    t->config_vector = good_vector(t, t->config_vector);
    for (int q = 0; q < VIRTIO_QUEUES; q++)
        t->queue_vector[q] = good_vector(t, t->queue_vector[q]);
    if (!pci_loaded(&t->pci))
        return false;
    t->v->dma = pci_command(&t->pci) & PCI_CMD_MASTER;
    return pci_msix_loaded(&t->msix);
}

static void virtio_pci_destroy(struct device *d)
{
    struct virtio_pci *t = (struct virtio_pci *)d;
    virtio_attach(t->v, t->v->mem, NULL, NULL);
    t->v->dma = false;
    pci_remove(&t->pci);
    free(t);
}

static const struct field virtio_pci_state[] = {PCI_FIELDS(struct virtio_pci, pci),
                                                PCI_MSIX_FIELDS(struct virtio_pci, msix),
                                                FIELD_U(struct virtio_pci, isr),
                                                FIELD_U(struct virtio_pci, queue_select),
                                                FIELD_U(struct virtio_pci, device_word),
                                                FIELD_U(struct virtio_pci, driver_word),
                                                FIELD_U(struct virtio_pci, config_vector),
                                                FIELD_A(struct virtio_pci, queue_vector),
                                                FIELD_END};

static const struct device_ops virtio_pci_ops = {
    .name = "virtio-pci",
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = virtio_pci_state,
    .loaded = virtio_pci_loaded,
    .destroy = virtio_pci_destroy,
};

static int add_region_cap(struct virtio_pci *t, u8 type, int size, u32 off, u32 len)
{
    u32 c = (u32)pci_add_cap(&t->pci, CAP_VENDOR, size);
    pci_set(&t->pci, c + 2, (u32)size, 1);
    pci_set(&t->pci, c + 3, type, 1);
    if (type != CAP_CFG)
        pci_set(&t->pci, c + 4, BAR_MODERN, 1);
    pci_set(&t->pci, c + 8, off, 4);
    pci_set(&t->pci, c + 12, len, 4);
    return (int)c;
}

/* The device id of before 1.0; 0: the device is younger (4.1.2.1). */
static u16 transitional_id(u16 id)
{
    switch (id) {
    case VIRTIO_ID_NET:
        return 0x1000;
    case VIRTIO_ID_BLOCK:
        return 0x1001;
    case VIRTIO_ID_BALLOON:
        return 0x1002;
    case VIRTIO_ID_CONSOLE:
        return 0x1003;
    case VIRTIO_ID_RNG:
        return 0x1005;
    case VIRTIO_ID_9P:
        return 0x1009;
    default:
        return 0;
    }
}

struct device *virtio_pci_new(struct device *bus, int devfn, struct space *mem,
                              struct virtio_dev *v)
{
    struct virtio_pci *t = calloc(1, sizeof(*t));
    CHECK(t);
    u16 old = transitional_id(v->ops->id);
    struct pci_id id = {.vendor = 0x1af4,
                        .device = old ? old : (u16)(0x1040 + v->ops->id),
                        .revision = old ? 0 : 1,
                        .class_code = v->ops->pci_class,
                        .subsys_vendor = 0x1af4,
                        .subsys = old ? v->ops->id : 0x1100,
                        .int_pin = 1};
    t->v = v;
    pci_init(&t->pci, &virtio_pci_ops, &id);
    t->pci.config_written = config_written;
    t->pci.config_reading = config_reading;
    if (old) {
        u64 size = 32;
        while (size < LEGACY_CONFIG + 4 + v->ops->config_size)
            size *= 2;
        pci_bar_io(&t->pci, BAR_LEGACY, PCI_BAR_IO, size, &t->pci.dev, REGION_LEGACY, 4);
    }
    pci_bar_io(&t->pci, BAR_MODERN, PCI_BAR_MEM, MODERN_SIZE, &t->pci.dev, REGION_MODERN, 4);
    pci_msix_init(&t->pci, &t->msix, BAR_MSIX, v->queues + 1);
    add_region_cap(t, CAP_COMMON, 16, COMMON, COMMON_SIZE);
    add_region_cap(t, CAP_ISR, 16, ISR, 1);
    if (v->ops->config_size)
        add_region_cap(t, CAP_DEVICE, 16, DEVICE, v->ops->config_size);
    int c = add_region_cap(t, CAP_NOTIFY, 20, NOTIFY, (u32)v->queues * NOTIFY_STEP);
    pci_set(&t->pci, (u32)c + 16, NOTIFY_STEP, 4);
    c = t->cfg_cap = add_region_cap(t, CAP_CFG, 20, 0, 0);
    pci_writable(&t->pci, (u32)c + 4, 0xff, 1);
    pci_writable(&t->pci, (u32)c + 8, 0xffffffff, 4);
    pci_writable(&t->pci, (u32)c + 12, 0xffffffff, 4);
    pci_writable(&t->pci, (u32)c + 16, 0xffffffff, 4);
    forget(t);
    virtio_attach(v, mem, interrupt, t);
    pci_add(bus, devfn, &t->pci);
    return &t->pci.dev;
}
