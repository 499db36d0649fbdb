/*
 * devices/acpi_pm.c - the PIIX4's power management function.
 *
 * Intel 82371AB data sheet, 7.1 (configuration: PMBA 40h, PMREGMISC 80h, SMBBA 90h), 7.2 (I/O
 * registers); ACPI 6.3, 4.8.3 (PM1, PM timer).
 */
#include "devices/acpi_pm.h"

#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include "devices/pci.h"

#include <stdlib.h>

enum region { R_PM, R_SMI, R_GPE, R_SMB };
enum { DEVACTB = 0x58, DEVACTB_APMC_EN = 1 << 25 };
enum {
    PMBA = 0x40,
    PMREGMISC = 0x80,
    SMBBA = 0x90,
    SMBHSTCFG = 0xd2,
    PM1_STS = 0,
    PM1_EN = 2,
    PM1_CNT = 4,
    PM_TMR = 8,
    STS_TMR = 1 << 0,
    STS_PWRBTN = 1 << 8,
    CNT_SCI_EN = 1 << 0,
    CNT_SLP_EN = 1 << 13,
};

struct acpi_pm {
    struct pci_device pci;
    bool fixed;       /* no PCI function: nothing but the PM block */
    struct device io; /* the I/O blocks; its own device because their regions are not BARs */
    struct space *ports;
    struct clock *clk;
    struct irq sci;
    void (*power_off)(void *);
    void *ctx;
    struct mapping *pm_map, *smb_map;
    struct timer overflow; /* bit 23 of the timer toggles */
    u16 sts, en, cnt;
    u8 smi_cmd, smi_data;
    u8 gpe_sts[2], gpe_en[2];
    u64 half;   /* halves of the timer's range gone by when TMR_STS was last brought up to date */
    u8 smb[16]; /* SMBus host registers */
};

/* SMBus host registers (82371AB 7.3). No device answers: a transaction ends with DEV_ERR. */
enum { SMB_HSTSTS = 0, SMB_HSTCNT = 2, SMB_START = 0x40, SMB_DEV_ERR = 0x04 };

static u32 pm_ticks(struct acpi_pm *s)
{
    return (u32)muldiv64(clock_now(s->clk), ACPI_PM_TIMER_HZ, NS_PER_SEC);
}

/* TMR_STS is set by each change of bit 23, whether or not it may interrupt (ACPI 6.3, 4.8.3.1.1).
 */
static void update_tmr_sts(struct acpi_pm *s)
{
    u64 half = muldiv64(clock_now(s->clk), ACPI_PM_TIMER_HZ, NS_PER_SEC) >> 23;
    if (half != s->half)
        s->sts |= STS_TMR;
    s->half = half;
}

static void update_sci(struct acpi_pm *s)
{
    update_tmr_sts(s);
    irq_set(&s->sci, (s->cnt & CNT_SCI_EN) && (s->sts & s->en & (STS_TMR | STS_PWRBTN | 0x420)));
}

/* The next change of bit 23: half of the 24-bit range. Only armed while it can interrupt. */
static void arm_overflow(struct acpi_pm *s)
{
    if (!(s->en & STS_TMR)) {
        timer_disarm(&s->overflow);
        return;
    }
    u64 now = muldiv64(clock_now(s->clk), ACPI_PM_TIMER_HZ, NS_PER_SEC);
    u64 next = (now | 0x7fffff) + 1;
    timer_arm(&s->overflow, muldiv64(next, NS_PER_SEC, ACPI_PM_TIMER_HZ) + 1);
}

static void on_overflow(void *ctx)
{
    struct acpi_pm *s = ctx;
    update_sci(s);
    arm_overflow(s);
}

static struct acpi_pm *of_io(struct device *d)
{
    return container_of(d, struct acpi_pm, io);
}

static u8 pm_byte(struct acpi_pm *s, u64 off)
{
    u32 v = off >= PM_TMR && off < PM_TMR + 4 ? (pm_ticks(s) & 0xffffff) >> (8 * (off - PM_TMR))
            : off < PM1_EN                    ? (u32)s->sts >> (8 * off)
            : off < PM1_CNT                   ? (u32)s->en >> (8 * (off - PM1_EN))
            : off < PM1_CNT + 2               ? (u32)s->cnt >> (8 * (off - PM1_CNT))
                                              : 0;
    return (u8)v;
}

static u64 io_read(struct device *d, int region, u64 off, int size)
{
    struct acpi_pm *s = of_io(d);
    if (region == R_PM && off >= PM_TMR && off < PM_TMR + 4)
        return (pm_ticks(s) & 0xffffff) >> (8 * (off - PM_TMR)); /* one sample, not four */
    if (region == R_SMB)
        return s->smb[off & 15];
    update_tmr_sts(s);
    u64 v = 0;
    for (int k = 0; k < size; k++) {
        u64 o = off + (u64)k;
        u8 b = 0;
        if (region == R_PM)
            b = pm_byte(s, o);
        else if (region == R_SMI)
            b = o ? s->smi_data : s->smi_cmd;
        else if (region == R_GPE && o < 4)
            b = o < 2 ? s->gpe_sts[o] : s->gpe_en[o - 2];
        v |= (u64)b << (8 * k);
    }
    return v;
}

static void write_cnt(struct acpi_pm *s, u16 v)
{
    /* SCI_EN belongs to the SMI command port on this chip; kernels write it back as they read it */
    s->cnt = (u16)((v & ~(u32)CNT_SLP_EN & ~1u) | (s->cnt & CNT_SCI_EN));
    if ((v & CNT_SLP_EN) && ((v >> 10) & 7) == 0 && s->power_off)
        s->power_off(s->ctx);
}

static void pm_write16(struct acpi_pm *s, u64 off, u16 v)
{
    switch (off) {
    case PM1_STS:
        update_tmr_sts(s);
        s->sts &= (u16)~v;
        break;
    case PM1_EN:
        s->en = v & 0x521;
        arm_overflow(s);
        break;
    case PM1_CNT:
        write_cnt(s, v);
        break;
    default:
        break;
    }
    update_sci(s);
}

static void smb_write(struct acpi_pm *s, u64 off, u8 val)
{
    if (off == SMB_HSTSTS) {
        s->smb[off] &= (u8)~val;
        return;
    }
    s->smb[off & 15] = val;
    if (off == SMB_HSTCNT && (val & SMB_START)) {
        s->smb[SMB_HSTCNT] &= (u8)~SMB_START;
        s->smb[SMB_HSTSTS] |= SMB_DEV_ERR;
    }
}

static void io_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct acpi_pm *s = of_io(d);
    if (region == R_SMB) {
        smb_write(s, off, (u8)val);
        return;
    }
    if (region == R_PM) {
        if (size == 1) {
            /* bytes: the other half stays, except in the write-one-to-clear status */
            u16 cur = (u16)(pm_byte(s, off & ~1ull) | pm_byte(s, off | 1) << 8);
            if ((off & ~1ull) == PM1_STS)
                cur = 0;
            u16 v = off & 1 ? (u16)((cur & 0xff) | val << 8) : (u16)((cur & 0xff00) | val);
            pm_write16(s, off & ~1ull, v);
        } else {
            pm_write16(s, off, (u16)val);
            if (size == 4 && off != PM1_CNT)
                pm_write16(s, off + 2, (u16)(val >> 16));
        }
        return;
    }
    for (int k = 0; k < size; k++) {
        u64 o = off + (u64)k;
        u8 b = (u8)(val >> (8 * k));
        if (region == R_SMI && o == 0) {
            s->smi_cmd = b;
            if (b == ACPI_PM_ON)
                s->cnt |= CNT_SCI_EN;
            else if (b == ACPI_PM_OFF)
                s->cnt &= (u16)~CNT_SCI_EN;
            update_sci(s);
        } else if (region == R_SMI) {
            s->smi_data = b;
        } else if (region == R_GPE && o < 2) {
            s->gpe_sts[o] &= (u8)~b;
        } else if (region == R_GPE && o < 4) {
            s->gpe_en[o - 2] = b;
        }
    }
}

void acpi_pm_power_button(struct device *d)
{
    struct acpi_pm *s = (struct acpi_pm *)d;
    s->sts |= STS_PWRBTN;
    update_sci(s);
}

static void update_map(struct acpi_pm *s)
{
    if (s->fixed)
        return;
    const u8 *c = s->pci.config;
    space_move(s->pm_map, ld_u16(c + PMBA) & 0xffc0);
    space_enable(s->pm_map, (c[PMREGMISC] & 1) && (ld_u16(c + PMBA) & 0xffc0));
    space_move(s->smb_map, ld_u16(c + SMBBA) & 0xfff0);
    space_enable(s->smb_map, (c[SMBHSTCFG] & 1) && (ld_u16(c + SMBBA) & 0xfff0));
}

static void config_written(struct pci_device *p, u32 off, int size)
{
    (void)off;
    (void)size;
    update_map((struct acpi_pm *)p);
}

static void pm_reset(struct device *d)
{
    struct acpi_pm *s = (struct acpi_pm *)d;
    if (!s->fixed)
        pci_reset(&s->pci);
    s->sts = s->en = 0;
    s->cnt = s->fixed ? CNT_SCI_EN : 0;
    s->smi_cmd = s->smi_data = 0;
    memset(s->gpe_sts, 0, sizeof(s->gpe_sts));
    memset(s->gpe_en, 0, sizeof(s->gpe_en));
    memset(s->smb, 0, sizeof(s->smb));
    s->half = muldiv64(clock_now(s->clk), ACPI_PM_TIMER_HZ, NS_PER_SEC) >> 23;
    timer_disarm(&s->overflow);
    update_map(s);
    update_sci(s);
}

static bool pm_loaded(struct device *d)
{
    struct acpi_pm *s = (struct acpi_pm *)d;
    bool ok = s->fixed || pci_loaded(&s->pci);
    s->cnt &= (u16)~CNT_SLP_EN;
    if (s->fixed)
        s->cnt |= CNT_SCI_EN;
    arm_overflow(s);
    update_map(s);
    update_sci(s);
    return ok;
}

static void pm_destroy(struct device *d)
{
    struct acpi_pm *s = (struct acpi_pm *)d;
    timer_disarm(&s->overflow);
    if (!s->fixed)
        pci_remove(&s->pci);
    free(s);
}

static const struct field pm_state[] = {
    PCI_FIELDS(struct acpi_pm, pci),   FIELD_U(struct acpi_pm, sts),
    FIELD_U(struct acpi_pm, en),       FIELD_U(struct acpi_pm, cnt),
    FIELD_U(struct acpi_pm, smi_cmd),  FIELD_U(struct acpi_pm, smi_data),
    FIELD_A(struct acpi_pm, gpe_sts),  FIELD_A(struct acpi_pm, gpe_en),
    FIELD_U(struct acpi_pm, half),     FIELD_A(struct acpi_pm, smb),
    FIELD_T(struct acpi_pm, overflow), FIELD_END};

static const struct device_ops pm_ops = {.name = "acpi_pm",
                                         .reset = pm_reset,
                                         .state = pm_state,
                                         .loaded = pm_loaded,
                                         .destroy = pm_destroy};
static const struct device_ops io_ops = {.name = "acpi_pm_io", .read = io_read, .write = io_write};

static struct acpi_pm *pm_alloc(struct space *ports, u16 base, struct irq sci,
                                void (*power_off)(void *ctx), void *ctx, struct clock *clk)
{
    struct acpi_pm *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->io.ops = &io_ops;
    s->ports = ports;
    s->clk = clk;
    s->sci = sci;
    s->power_off = power_off;
    s->ctx = ctx;
    timer_init(&s->overflow, clk, on_overflow, s);
    s->pm_map = space_map_io(ports, base, 64, &s->io, R_PM, 4, 0);
    return s;
}

struct device *acpi_pm_fixed_new(struct space *ports, u16 base, struct irq sci,
                                 void (*power_off)(void *ctx), void *ctx, struct clock *clk)
{
    struct acpi_pm *s = pm_alloc(ports, base, sci, power_off, ctx, clk);
    s->pci.dev.ops = &pm_ops;
    s->fixed = true;
    pm_reset(&s->pci.dev);
    return &s->pci.dev;
}

struct device *acpi_pm_new(struct device *pci_bus, int devfn, struct space *ports, struct irq sci,
                           void (*power_off)(void *ctx), void *ctx, struct clock *clk)
{
    static const struct pci_id id = {
        .vendor = 0x8086, .device = 0x7113, .revision = 3, .class_code = 0x068000, .int_pin = 1};
    struct acpi_pm *s = pm_alloc(ports, 0x600, sci, power_off, ctx, clk);
    pci_init(&s->pci, &pm_ops, &id);
    s->pci.config_written = config_written;
    pci_set(&s->pci, PMBA, 1, 4);
    pci_writable(&s->pci, PMBA, 0xffc0, 4);
    pci_writable(&s->pci, PMREGMISC, 1, 1);
    pci_set(&s->pci, SMBBA, 1, 4);
    pci_writable(&s->pci, SMBBA, 0xfff0, 4);
    pci_writable(&s->pci, SMBHSTCFG, 0x0f, 1);
    /* DEVACTB: APMC_EN reads as set, so that firmware takes SMM for set up already and does not
     * wait for an SMI that never comes */
    pci_set(&s->pci, DEVACTB, DEVACTB_APMC_EN, 4);
    pci_writable(&s->pci, DEVACTB, 0x03ffffff & ~(u32)DEVACTB_APMC_EN, 4);
    s->smb_map = space_map_io(ports, 0x700, 16, &s->io, R_SMB, 1, 0);
    space_map_io(ports, 0xb2, 2, &s->io, R_SMI, 2, 0);
    space_map_io(ports, ACPI_PM_GPE, 4, &s->io, R_GPE, 4, 0);
    pci_add(pci_bus, devfn, &s->pci);
    pm_reset(&s->pci.dev);
    return &s->pci.dev;
}
