/*
 * devices/fw_cfg.c - firmware configuration: a selector, a data port, and a DMA engine.
 *
 * What it is: the host's read-only side of the interface. What it is not: files that the guest may
 * write (DMA writes fail), and the interface's memory-mapped form.
 *
 * Invariant: what the guest may choose (item, offset, DMA addresses and lengths) is only ever used
 * through find() and copy_out(), which take any value.
 *
 * Manual: "QEMU Firmware Configuration (fw_cfg) Device" (docs/specs/fw_cfg), the interface's
 * description.
 */
#include "devices/fw_cfg.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/space.h"
#include <stdlib.h>

enum { REGION_PORTS, REGION_DMA };
enum { KEY_SIGNATURE = 0x00, KEY_ID = 0x01, KEY_DIR = 0x19 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { DIR_ENTRY = 64, LOCAL_KEYS = 8, LOCAL_BIT = 0x8000 };
enum { LOCAL = FW_CFG_FILES + FW_CFG_MAX_FILES, ITEMS = LOCAL + LOCAL_KEYS };

/* The specification wants zeros beyond an item's end; this many, so that one port write cannot keep
 * the host busy for gigabytes. */
#define ZEROS_MAX (16 * MIB)

struct item {
    u8 *data;
    u32 len;
};

struct fw_cfg {
    struct device dev;
    struct space *mem;
    struct item items[ITEMS]; /* plain keys, files, the machine's own (bit 15) */
    char names[FW_CFG_MAX_FILES][FW_CFG_NAME_MAX + 1];
    int n_files;
    /* what the guest sees */
    u64 dma_addr;
    u32 offset;
    u16 key;
};

static int index_of(u16 key)
{
    if (key & LOCAL_BIT)
        return (key & ~LOCAL_BIT) < LOCAL_KEYS ? LOCAL + (key & ~LOCAL_BIT) : -1;
    return key < LOCAL ? key : -1;
}

static const struct item *find(const struct fw_cfg *s, u16 key)
{
    static const struct item none = {NULL, 0};
    int k = index_of(key);
    return k >= 0 ? &s->items[k] : &none;
}

/* The next n bytes of the selected item, at most to its end. Returns how many, and moves on. */
static u32 take(struct fw_cfg *s, u32 n, const u8 **p)
{
    const struct item *it = find(s, s->key);
    u32 left = s->offset < it->len ? it->len - s->offset : 0;
    n = MIN(n, left);
    *p = n ? it->data + s->offset : NULL;
    s->offset += n;
    return n;
}

static u8 next_byte(struct fw_cfg *s)
{
    const u8 *p;
    return take(s, 1, &p) ? *p : 0;
}

static void select_item(struct fw_cfg *s, u16 key)
{
    s->key = key;
    s->offset = 0;
}

/* ---- DMA ----------------------------------------------------------------------------------- */
static bool dma_read(struct fw_cfg *s, gpa to, u32 len)
{
    static const u8 zeros[4096];
    const u8 *p;
    u32 n = take(s, len, &p);
    if (n)
        space_write_bulk(s->mem, to, p, n);
    to += n;
    len -= n;
    bool ok = len <= ZEROS_MAX;
    for (len = MIN(len, (u32)ZEROS_MAX); len; len -= n, to += n) {
        n = MIN(len, (u32)sizeof(zeros));
        space_write_bulk(s->mem, to, zeros, n);
    }
    return ok;
}

static u32 be32(const u8 *p)
{
    return __builtin_bswap32(ld_u32(p));
}

static void dma(struct fw_cfg *s, gpa at)
{
    u8 req[16], done[4];
    const u8 *p;
    bool ok = true;

    space_read_bulk(s->mem, at, req, sizeof(req));
    u32 control = be32(req), len = be32(req + 4);
    gpa addr = (u64)be32(req + 8) << 32 | be32(req + 12);
    if (control & DMA_SELECT)
        select_item(s, (u16)(control >> 16));
    if (control & DMA_READ) {
        ok = dma_read(s, addr, len);
    } else if (control & DMA_WRITE) {
        log_guest("fw_cfg: write of %u bytes to item %x refused", len, s->key);
        ok = false;
    } else if (control & DMA_SKIP) {
        take(s, len, &p);
    }
    st_u32(done, __builtin_bswap32(ok ? 0 : DMA_ERROR));
    space_write_bulk(s->mem, at, done, sizeof(done));
}

/* ---- ports --------------------------------------------------------------------------------- */
static u64 dma_reg_read(u64 off, int size)
{
    static const u8 sig[8] = "QEMU CFG";
    return off + (u64)size <= 8 ? ld_le(sig + off, size) : 0;
}

static u64 fw_cfg_read(struct device *d, int region, u64 off, int size)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    if (region == REGION_DMA)
        return dma_reg_read(off, size);
    return off == 1 ? next_byte(s) : s->key & size_mask(size);
}

static u64 fw_cfg_peek(struct device *d, int region, u64 off, int size)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    if (region == REGION_DMA)
        return dma_reg_read(off, size);
    const struct item *it = find(s, s->key);
    if (off == 1)
        return s->offset < it->len ? it->data[s->offset] : 0;
    return s->key & size_mask(size);
}

static void fw_cfg_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    if (region == REGION_PORTS) {
        if (off == 0)
            select_item(s, (u16)(val & size_mask(size)));
        return;
    }
    /* Big-endian: the high half first, the low half starts the transfer. */
    if (size == 4 && off == 0) {
        s->dma_addr = (u64)__builtin_bswap32((u32)val) << 32;
    } else if (size == 4 && off == 4) {
        gpa at = s->dma_addr | __builtin_bswap32((u32)val);
        s->dma_addr = 0;
        dma(s, at);
    }
}

static void fw_cfg_reset(struct device *d)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    s->key = 0;
    s->offset = 0;
    s->dma_addr = 0;
}

static void fw_cfg_destroy(struct device *d)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    for (int k = 0; k < ITEMS; k++)
        free(s->items[k].data);
    free(s);
}

static const struct field fw_cfg_state[] = {FIELD_U(struct fw_cfg, dma_addr),
                                            FIELD_U(struct fw_cfg, offset),
                                            FIELD_U(struct fw_cfg, key), FIELD_END};

static const struct device_ops fw_cfg_ops = {
    .name = "fw_cfg",
    .reset = fw_cfg_reset,
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .peek = fw_cfg_peek,
    .state = fw_cfg_state,
    .destroy = fw_cfg_destroy,
};

/* ---- the board's side ---------------------------------------------------------------------- */
static void set_item(struct fw_cfg *s, u16 key, const void *data, u32 len)
{
    int at = index_of(key);
    CHECK(at >= 0);
    u8 *copy = malloc(len ? len : 1);
    CHECK(copy);
    memcpy(copy, data, len);
    free(s->items[at].data);
    s->items[at] = (struct item){copy, len};
}

/* The directory: a count, then size, number and name of each file; integers big-endian. */
static void make_directory(struct fw_cfg *s)
{
    u8 dir[4 + FW_CFG_MAX_FILES * DIR_ENTRY] = {0};
    st_u32(dir, __builtin_bswap32((u32)s->n_files));
    for (int k = 0; k < s->n_files; k++) {
        u8 *e = dir + 4 + k * DIR_ENTRY;
        st_u32(e, __builtin_bswap32(s->items[FW_CFG_FILES + k].len));
        st_u16(e + 4, __builtin_bswap16((u16)(FW_CFG_FILES + k)));
        memcpy(e + 8, s->names[k], FW_CFG_NAME_MAX);
    }
    set_item(s, KEY_DIR, dir, 4 + (u32)s->n_files * DIR_ENTRY);
}

void fw_cfg_set(struct device *d, u16 key, const void *data, u32 len)
{
    CHECK((key < FW_CFG_FILES || key & LOCAL_BIT) && key != KEY_DIR);
    set_item((struct fw_cfg *)d, key, data, len);
}

void fw_cfg_set_int(struct device *d, u16 key, u64 val, int size)
{
    u8 b[8];
    st_u64(b, val);
    fw_cfg_set(d, key, b, (u32)size);
}

void fw_cfg_add_file(struct device *d, const char *name, const void *data, u32 len)
{
    struct fw_cfg *s = (struct fw_cfg *)d;
    int k = 0;
    CHECK(strlen(name) <= FW_CFG_NAME_MAX);
    while (k < s->n_files && strcmp(s->names[k], name))
        k++;
    if (k == s->n_files) {
        CHECK(k < FW_CFG_MAX_FILES);
        memcpy(s->names[k], name, strlen(name) + 1);
        s->n_files++;
    }
    set_item(s, (u16)(FW_CFG_FILES + k), data, len);
    make_directory(s);
}

struct device *fw_cfg_new(struct space *ports, struct space *mem)
{
    struct fw_cfg *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->dev.ops = &fw_cfg_ops;
    s->mem = mem;
    fw_cfg_set(&s->dev, KEY_SIGNATURE, "QEMU", 4);
    fw_cfg_set_int(&s->dev, KEY_ID, ID_TRADITIONAL | ID_DMA, 4);
    make_directory(s);
    space_map_io(ports, 0x510, 2, &s->dev, REGION_PORTS, 2, 0);
    space_map_io(ports, 0x514, 8, &s->dev, REGION_DMA, 4, 0);
    return &s->dev;
}
