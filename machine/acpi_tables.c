/*
 * machine/acpi_tables.c - RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT and HPET of the boards.
 *
 * ACPI 6.3: 5.2.5 (RSDP), 5.2.6 (headers), 5.2.9 (FADT), 5.2.10 (FACS), 5.2.12 (MADT); IA-PC HPET
 * 1.0a, 3.2.4. Every pointer is recorded, so that the same blob serves a direct boot and the
 * firmware's loader script.
 */
#include "machine/acpi_tables.h"
#include "base/bits.h"
#include "base/log.h"
#include "machine/aml.h"

#include <stdio.h>
#include <stdlib.h>

enum { HDR = 36, MAX_PTRS = 24, MAX_TABLES = 8 };

struct ptr {
    u32 at, size; /* where in the blob, 4 or 8 bytes */
};

struct builder {
    struct acpi_blob *out;
    struct ptr ptr[MAX_PTRS];
    int n_ptr;
    u32 table[MAX_TABLES]; /* offsets of tables with a header checksum */
    int n_table;
};

static u8 *grow(struct builder *b, u32 n)
{
    CHECK(n <= ACPI_BLOB_MAX - b->out->len);
    u8 *p = b->out->tables + b->out->len;
    memset(p, 0, n);
    b->out->len += n;
    return p;
}

static void align(struct builder *b, u32 to)
{
    grow(b, (u32)(align_up(b->out->len, to) - b->out->len));
}

/* A table of n bytes with its header; checksums come last. */
static u8 *table(struct builder *b, const char *sig, u8 rev, u32 n)
{
    align(b, 16);
    CHECK(b->n_table < MAX_TABLES);
    b->table[b->n_table++] = b->out->len;
    u8 *t = grow(b, n);
    memcpy(t, sig, 4);
    st_u32(t + 4, n);
    t[8] = rev;
    memcpy(t + 10, "TRIVSR", 6);
    memcpy(t + 16, "TRIVPC  ", 8);
    st_u32(t + 24, 1);
    memcpy(t + 28, "TRIV", 4);
    st_u32(t + 32, 1);
    return t;
}

static u32 offset_of(const struct builder *b, const u8 *p)
{
    return (u32)(p - b->out->tables);
}

static void pointer(struct builder *b, u8 *at, u32 size, u32 target)
{
    CHECK(b->n_ptr < MAX_PTRS);
    b->ptr[b->n_ptr++] = (struct ptr){offset_of(b, at), size};
    st_le(at, target, (int)size);
}

static u8 checksum(const u8 *p, u32 n)
{
    u8 s = 0;
    for (u32 k = 0; k < n; k++)
        s = (u8)(s + p[k]);
    return (u8)(0 - s);
}

/* ---- DSDT
 * ------------------------------------------------------------------------------------------ */
static void res_io(u8 *r, u16 base, u8 len)
{
    const u8 t[8] = {0x47, 1, (u8)base, (u8)(base >> 8), (u8)base, (u8)(base >> 8), 1, len};
    memcpy(r, t, 8);
}

static void isa_device(struct aml *a, const char *name, const char *hid, u16 io1, u8 len1, u16 io2,
                       u8 irq)
{
    u8 res[24];
    u32 n = 0;
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisaid(a, hid);
    if (io1) {
        res_io(res, io1, len1);
        n += 8;
    }
    if (io2) {
        res_io(res + n, io2, 1);
        n += 8;
    }
    res[n++] = 0x22; /* IRQ, edge */
    res[n++] = (u8)(1u << irq);
    res[n++] = (u8)((1u << irq) >> 8);
    aml_name(a, "_CRS");
    aml_resources(a, res, n);
    aml_end(a);
}

/* Word, dword or qword address space descriptor (6.4.3.5). */
static u32 res_range(u8 *r, int width, u8 type, u8 flags, u64 min, u64 max)
{
    u8 tag = width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a;
    u32 n = 3 + 3 + 5 * (u32)width;
    memset(r, 0, n);
    r[0] = tag;
    st_u16(r + 1, (u16)(n - 3));
    r[3] = type;
    r[4] = 0x0c; /* min and max fixed, positive decode */
    r[5] = flags;
    st_le(r + 6 + width, min, width);
    st_le(r + 6 + 2 * width, max, width);
    st_le(r + 6 + 4 * width, max - min + 1, width);
    return n;
}

static void pci_resources(struct aml *a, const struct acpi_board *b)
{
    u8 r[256];
    u32 n = 0;
    n += res_range(r + n, 2, 2, 0, 0, 255); /* bus numbers */
    res_io(r + n, 0xcf8, 8);
    n += 8;
    n += res_range(r + n, 2, 1, 3, 0x0000, 0x0cf7); /* I/O */
    n += res_range(r + n, 2, 1, 3, 0x0d00, 0xffff);
    n += res_range(r + n, 4, 0, 1, 0xa0000, 0xbffff); /* VGA memory, writable */
    n += res_range(r + n, 4, 0, 1, MAX(b->low_ram, 0x80000000), 0xfebfffff);
    u64 above = align_up(4 * GIB + b->high_ram, 32 * GIB);
    n += res_range(r + n, 8, 0, 1, above, above + 32 * GIB - 1);
    aml_name(a, "_CRS");
    aml_resources(a, r, n);
}

/* Slots 1-31, pins A-D: fixed to the global interrupt that the router's input has. */
static void pci_routing(struct aml *a)
{
    static const u8 gsi[4] = {10, 10, 11, 11};
    aml_name(a, "_PRT");
    aml_package(a, 31 * 4);
    for (u32 slot = 1; slot < 32; slot++) {
        for (u32 pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_int(a, 0);
            aml_int(a, gsi[(slot + pin - 1) & 3]);
            aml_end(a);
        }
    }
    aml_end(a);
}

static void pci_devices(struct aml *a, const struct acpi_board *board)
{
    aml_device(a, "PCI0");
    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0A03");
    aml_name(a, "_ADR");
    aml_int(a, 0);
    aml_name(a, "_UID");
    aml_int(a, 0);
    pci_resources(a, board);
    pci_routing(a);
    aml_device(a, "ISA_");
    aml_name(a, "_ADR");
    aml_int(a, 0x10000);
    isa_device(a, "RTC_", "PNP0B00", 0x70, 2, 0, 8);
    isa_device(a, "KBD_", "PNP0303", 0x60, 1, 0x64, 1);
    isa_device(a, "MOU_", "PNP0F13", 0, 0, 0, 12);
    aml_end(a);
    aml_end(a);
}

static void virtio_device(struct aml *a, const struct acpi_board *b, u32 n)
{
    char name[5];
    u8 r[12 + 9] = {0x86, 9, 0, 1}; /* 32-bit memory, fixed, writable */
    u8 *irq = r + 12;
    snprintf(name, sizeof(name), "VR%02u", n % 100);
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_string(a, "LNRO0005");
    aml_name(a, "_UID");
    aml_int(a, n);
    st_u32(r + 4, (u32)b->virtio_at + n * 0x200);
    st_u32(r + 8, 0x200);
    irq[0] = 0x89; /* interrupt: consumer, level, high, shared */
    irq[1] = 6;
    irq[3] = 9;
    irq[4] = 1;
    st_u32(irq + 5, b->virtio_gsi + n % b->virtio_gsis);
    aml_name(a, "_CRS");
    aml_resources(a, r, sizeof(r));
    aml_end(a);
}

static void bare_devices(struct aml *a, const struct acpi_board *b)
{
    static const u16 com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    for (u32 k = 0; k < ARRAY_LEN(com); k++) {
        const char name[5] = {'C', 'O', 'M', (char)('1' + k), 0};
        if (b->serial[k])
            isa_device(a, name, "PNP0501", com[k], 8, 0, k & 1 ? 3 : 4);
    }
    for (u32 n = 0; n < b->virtio_slots; n++)
        virtio_device(a, b, n);
}

static u32 build_dsdt(struct builder *b, const struct acpi_board *board)
{
    struct aml *a = calloc(1, sizeof(*a));
    CHECK(a);
    aml_name(a, "\\_S5_");
    aml_package(a, 4);
    for (int k = 0; k < 4; k++)
        aml_int(a, 0);
    aml_end(a);

    aml_scope(a, "\\_SB_");
    if (board->no_legacy)
        bare_devices(a, board);
    else
        pci_devices(a, board);
    aml_end(a);

    u8 *t = table(b, "DSDT", 2, HDR + a->len);
    memcpy(t + HDR, a->buf, a->len);
    free(a);
    return offset_of(b, t);
}

/* ---- the rest
 * ---------------------------------------------------------------------------------------- */
static void gas(u8 *p, u8 bits_, u64 port)
{
    p[0] = 1; /* system I/O */
    p[1] = bits_;
    p[3] = bits_ == 8 ? 1 : bits_ == 16 ? 2 : 3;
    st_u64(p + 4, port);
}

static u32 build_fadt(struct builder *b, const struct acpi_board *board, u32 facs, u32 dsdt)
{
    u8 *t = table(b, "FACP", 3, 244);
    pointer(b, t + 36, 4, facs);
    pointer(b, t + 40, 4, dsdt);
    st_u16(t + 46, 9); /* SCI */
    st_u32(t + 56, board->pm_base);
    st_u32(t + 64, board->pm_base + 4u);
    st_u32(t + 76, board->pm_base + 8u);
    t[88] = 4; /* lengths of the blocks */
    t[89] = 2;
    t[91] = 4;
    st_u16(t + 96, 0xfff); /* C2, C3 not supported */
    st_u16(t + 98, 0xfff);
    /* WBINVD, C1, no sleep button, RTC wake not fixed, reset register */
    st_u32(t + 112, BIT(0) | BIT(2) | BIT(5) | BIT(10));
    pointer(b, t + 140, 8, dsdt);
    gas(t + 148, 32, board->pm_base);
    gas(t + 172, 16, board->pm_base + 4u);
    gas(t + 208, 32, board->pm_base + 8u);
    if (board->no_legacy) {
        st_u16(t + 109, BIT(2) | BIT(5)); /* no VGA, no RTC; and no legacy devices, no 8042 */
        gas(t + 116, 8, 0x92);
        t[128] = 3;
        return offset_of(b, t);
    }
    st_u32(t + 48, 0xb2); /* SMI command port, ACPI enable, disable */
    t[52] = 0xf1;
    t[53] = 0xf0;
    st_u32(t + 80, board->gpe_base);
    t[92] = 4;
    t[108] = 0x32;      /* RTC century */
    st_u16(t + 109, 3); /* legacy devices, 8042 */
    gas(t + 116, 8, 0xcf9);
    t[128] = 6;
    gas(t + 220, 32, board->gpe_base);
    return offset_of(b, t);
}

static u32 build_madt(struct builder *b, const struct acpi_board *board)
{
    u8 m[256];
    u32 n = 0;
    for (u32 k = 0; k < board->cpus; k++) {
        const u8 lapic[8] = {0, 8, (u8)k, (u8)k, 1};
        memcpy(m + n, lapic, 8);
        n += 8;
    }
    const u8 ioapic[12] = {1, 12, 1, 0, 0, 0, 0xc0, 0xfe};
    memcpy(m + n, ioapic, 12);
    n += 12;
    static const u8 over[][3] = {{0, 2, 0}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}};
    for (size_t k = 0; k < ARRAY_LEN(over); k++) {
        if (board->no_legacy && over[k][0] != 9)
            continue;
        const u8 iso[10] = {2, 10, 0, over[k][0], over[k][1], 0, 0, 0, over[k][2], 0};
        memcpy(m + n, iso, 10);
        n += 10;
    }
    const u8 nmi[6] = {4, 6, 0xff, 0, 0, 1};
    memcpy(m + n, nmi, 6);
    n += 6;
    u8 *t = table(b, "APIC", 1, HDR + 8 + n);
    st_u32(t + HDR, 0xfee00000);
    st_u32(t + HDR + 4, !board->no_legacy); /* PCAT_COMPAT: there are 8259s */
    memcpy(t + HDR + 8, m, n);
    return offset_of(b, t);
}

static u32 build_hpet(struct builder *b)
{
    u8 *t = table(b, "HPET", 1, 56);
    st_u32(t + 36, 0x8086a201);
    t[40] = 0; /* memory */
    t[41] = 64;
    st_u64(t + 44, 0xfed00000);
    return offset_of(b, t);
}

/* ---- the loader script: commands of 128 bytes
 * ----------------------------------------------------------- */
#define F_TABLES "etc/acpi/tables"
#define F_RSDP   "etc/acpi/rsdp"

static u8 *command(struct acpi_blob *o, u32 cmd)
{
    CHECK(o->loader_len + 128 <= ACPI_LOADER_MAX);
    u8 *c = o->loader + o->loader_len;
    memset(c, 0, 128);
    st_u32(c, cmd);
    o->loader_len += 128;
    return c;
}

static void cmd_allocate(struct acpi_blob *o, const char *file, u32 align_, u8 zone)
{
    u8 *c = command(o, 1);
    memcpy(c + 4, file, strlen(file));
    st_u32(c + 60, align_);
    c[64] = zone; /* 1 high memory, 2 F segment */
}

static void cmd_pointer(struct acpi_blob *o, const char *dst, u32 at, u32 size)
{
    u8 *c = command(o, 2);
    memcpy(c + 4, dst, strlen(dst));
    memcpy(c + 60, F_TABLES, strlen(F_TABLES));
    st_u32(c + 116, at);
    c[120] = (u8)size;
}

static void cmd_checksum(struct acpi_blob *o, const char *file, u32 at, u32 start, u32 len)
{
    u8 *c = command(o, 3);
    memcpy(c + 4, file, strlen(file));
    st_u32(c + 60, at);
    st_u32(c + 64, start);
    st_u32(c + 68, len);
}

static void build_loader(struct builder *b)
{
    struct acpi_blob *o = b->out;
    cmd_allocate(o, F_RSDP, 16, 2);
    cmd_allocate(o, F_TABLES, 64, 1);
    for (int k = 0; k < b->n_ptr; k++)
        cmd_pointer(o, F_TABLES, b->ptr[k].at, b->ptr[k].size);
    for (int k = 0; k < b->n_table; k++)
        cmd_checksum(o, F_TABLES, b->table[k] + 9, b->table[k],
                     ld_u32(o->tables + b->table[k] + 4));
    cmd_pointer(o, F_RSDP, 16, 4);
    cmd_pointer(o, F_RSDP, 24, 8);
    cmd_checksum(o, F_RSDP, 8, 0, 20);
    cmd_checksum(o, F_RSDP, 32, 0, 36);
}

void acpi_build(const struct acpi_board *board, struct acpi_blob *out)
{
    struct builder b = {.out = out};
    u32 t[4];
    int n = 0;

    memset(out, 0, sizeof(*out));
    align(&b, 64);
    u8 *facs = grow(&b, 64);
    memcpy(facs, "FACS", 4);
    st_u32(facs + 4, 64);
    u32 dsdt = build_dsdt(&b, board);
    out->fadt = t[n++] = build_fadt(&b, board, offset_of(&b, facs), dsdt);
    if (board->ioapic)
        t[n++] = build_madt(&b, board);
    if (board->hpet)
        t[n++] = build_hpet(&b);
    u8 *rsdt = table(&b, "RSDT", 1, HDR + 4 * (u32)n);
    for (int k = 0; k < n; k++)
        pointer(&b, rsdt + HDR + 4 * k, 4, t[k]);
    out->rsdt = offset_of(&b, rsdt);
    u8 *xsdt = table(&b, "XSDT", 1, HDR + 8 * (u32)n);
    for (int k = 0; k < n; k++)
        pointer(&b, xsdt + HDR + 8 * k, 8, t[k]);
    out->xsdt = offset_of(&b, xsdt);

    memcpy(out->rsdp, "RSD PTR ", 8);
    memcpy(out->rsdp + 9, "TRIVSR", 6);
    out->rsdp[15] = 2;
    st_u32(out->rsdp + 16, out->rsdt);
    st_u32(out->rsdp + 20, ACPI_RSDP_SIZE);
    st_u64(out->rsdp + 24, out->xsdt);
    build_loader(&b);
}

/* The script is the one list of pointers and checksums: a direct boot runs it too. */
void acpi_place(struct acpi_blob *o, u64 at)
{
    for (u32 k = 0; k < o->loader_len; k += 128) {
        const u8 *c = o->loader + k;
        u8 *file = !strcmp((const char *)c + 4, F_RSDP) ? o->rsdp : o->tables;
        if (ld_u32(c) == 2) {
            u8 *p = file + ld_u32(c + 116);
            st_le(p, ld_le(p, c[120]) + at, c[120]);
        } else if (ld_u32(c) == 3) {
            u8 *sum = file + ld_u32(c + 60);
            *sum = 0;
            *sum = checksum(file + ld_u32(c + 64), ld_u32(c + 68));
        }
    }
}
