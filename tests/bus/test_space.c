/* tests/bus/test_space.c - address spaces: who answers where, and what a change of the map does. */
#include <criterion/criterion.h>

#include "base/bits.h"
#include "bus/space.h"

#include <stdio.h>
#include <stdlib.h>

/* A device that says what was asked of it: "r<region>+<off>.<size>" or "w...=<val>", blank between.
 * Reads return 0xa0 + off in each byte, so that order shows. */
struct probe {
    struct device dev;
    char log[512];
    void (*on_write)(struct probe *p);
    struct mapping *m;
};

static void note(struct probe *p, const char *text)
{
    size_t n = strlen(p->log);
    snprintf(p->log + n, sizeof(p->log) - n, "%s%s", n ? " " : "", text);
}

static u64 pattern(u64 off, int size)
{
    u64 v = 0;
    for (int k = 0; k < size; k++)
        v |= (u64)(u8)(0xa0 + off + (u64)k) << (8 * k);
    return v;
}

static u64 probe_read(struct device *d, int region, u64 off, int size)
{
    char t[64];
    snprintf(t, sizeof(t), "r%d+%x.%d", region, (unsigned)off, size);
    note((struct probe *)d, t);
    return pattern(off, size) | (size < 8 ? ~size_mask(size) : 0); /* the rest is ignored */
}

static void probe_write(struct device *d, int region, u64 off, u64 val, int size)
{
    struct probe *p = (struct probe *)d;
    char t[64];
    snprintf(t, sizeof(t), "w%d+%x.%d=%llx", region, (unsigned)off, size, (unsigned long long)val);
    note(p, t);
    if (p->on_write)
        p->on_write(p);
}

static u64 probe_peek(struct device *d, int region, u64 off, int size)
{
    return pattern(off, size);
}

static const struct device_ops probe_ops = {
    .name = "probe", .read = probe_read, .write = probe_write, .peek = probe_peek};
static const struct device_ops mute_ops = {.name = "mute"};

static struct probe probe_new(void)
{
    return (struct probe){.dev = {&probe_ops}};
}

#define SAID(p, text)                                                                              \
    do {                                                                                           \
        cr_expect_str_eq((p).log, text);                                                           \
        (p).log[0] = 0;                                                                            \
    } while (0)

static struct ram *ram(u64 size)
{
    struct ram *r;
    struct error err;
    cr_assert(ram_new(size, &r, &err) == ST_OK, "%s", err.msg);
    return r;
}

/* ---- one mapping ---------------------------------------------------------------------------- */
Test(space, unmapped_floats)
{
    struct space *sp = space_new("t", BIT64(52));
    cr_expect_eq(space_read(sp, 0x1234, 1), 0xff);
    cr_expect_eq(space_read(sp, 0x1234, 4), 0xffffffff);
    cr_expect_eq(space_read(sp, UINT64_MAX - 3, 8), UINT64_MAX);
    space_write(sp, 0x1234, 1, 8);
    space_write(sp, UINT64_MAX, 1, 8);
    struct page_info pi = space_find(sp, 0x5000);
    cr_expect(!pi.read && !pi.write && !pi.ram);
    space_free(sp);
}

Test(space, widths)
{
    struct probe p = probe_new();
    struct space *sp = space_new("io", 65536);
    space_map_io(sp, 0x100, 0x10, &p.dev, 3, 1, 0);
    space_map_io(sp, 0x200, 0x10, &p.dev, 4, 4, 0);
    space_map_io(sp, 0x300, 0x10, &p.dev, 5, 8, 0);

    cr_expect_eq(space_read(sp, 0x104, 4), 0xa7a6a5a4);
    SAID(p, "r3+4.1 r3+5.1 r3+6.1 r3+7.1");
    space_write(sp, 0x101, 0x1234, 2);
    SAID(p, "w3+1.1=34 w3+2.1=12");
    cr_expect_eq(space_read(sp, 0x201, 2), 0xa2a1); /* narrower and unaligned: as it is */
    SAID(p, "r4+1.2");
    cr_expect_eq(space_read(sp, 0x200, 8), 0xa7a6a5a4a3a2a1a0);
    SAID(p, "r4+0.4 r4+4.4");
    space_write(sp, 0x200, 0x1122334455667788, 8);
    SAID(p, "w4+0.4=55667788 w4+4.4=11223344");
    cr_expect_eq(space_read(sp, 0x308, 8), 0xafaeadacabaaa9a8);
    SAID(p, "r5+8.8");
    cr_expect_eq(space_read(sp, 0x300, 1), 0xa0); /* the device's high bits are cut off */
    SAID(p, "r5+0.1");
    cr_expect_eq(space_peek(sp, 0x300, 4), 0xa3a2a1a0);
    SAID(p, "");
    space_free(sp);
}

Test(space, across_boundaries)
{
    struct probe a = probe_new(), b = probe_new();
    struct ram *r = ram(0x1000);
    for (int direct = 0; direct < 2; direct++) {
        struct space *sp = space_new("t", direct ? 65536 : BIT64(40));
        space_map_io(sp, 0x1000, 2, &a.dev, 0, 4, 0);
        space_map_io(sp, 0x1002, 2, &b.dev, 1, 4, 0);
        space_map_ram(sp, 0x2000, 0x1000, r, 0, MAP_RW, 0);

        cr_expect_eq(space_read(sp, 0x1001, 2), 0xa0a1);
        SAID(a, "r0+1.1");
        SAID(b, "r1+0.1");
        cr_expect_eq(space_read(sp, 0x1002, 4), 0xffffa1a0); /* two bytes of nothing */
        SAID(b, "r1+0.1 r1+1.1");
        space_write(sp, 0x0fff, 0x332211, 4);
        SAID(a, "w0+0.1=22 w0+1.1=33");
        SAID(b, "w1+0.1=0");
        space_write(sp, 0x1fff, 0xbbaa, 2); /* half of it lands in RAM */
        cr_expect_eq(r->base[0], 0xbb);
        space_write(sp, 0x2ffc, 0x8877665544332211, 8);
        cr_expect_eq(ld_u32(r->base + 0xffc), 0x44332211);
        cr_expect_eq(space_read(sp, 0x2ffe, 4), 0xffff4433);
        space_free(sp);
    }
    ram_free(r);
}

Test(space, end_of_ports)
{
    struct probe p = probe_new();
    struct space *sp = space_new("io", 65536);
    space_map_io(sp, 0xfff0, 0x100, &p.dev, 0, 4, 0); /* reaches beyond the space */
    cr_expect_eq(space_read(sp, 0xffff, 1), 0xaf);
    SAID(p, "r0+f.1");
    cr_expect_eq(space_read(sp, 0xfffe, 4), 0xffffafae);
    space_write(sp, 0xffff, 0x1122, 2);
    cr_expect_eq(space_read(sp, 0x10000, 1), 0xff);
    space_free(sp);
}

Test(space, devices_without_callbacks)
{
    struct device mute = {&mute_ops};
    struct space *sp = space_new("io", 65536);
    space_map_io(sp, 0, 16, &mute, 0, 4, 0);
    cr_expect_eq(space_read(sp, 0, 4), 0xffffffff);
    cr_expect_eq(space_peek(sp, 0, 4), 0);
    space_write(sp, 0, 1, 4);
    space_free(sp);
}

/* ---- several -------------------------------------------------------------------------------- */
/* Three overlapping windows: which region answers at each address? '.' is nothing. */
static void picture(struct space *sp, struct probe *p, char *out, int n)
{
    for (int k = 0; k < n; k++) {
        p->log[0] = 0;
        space_read(sp, (u64)k, 1);
        out[k] = p->log[0] ? p->log[1] : '.';
    }
    out[n] = 0;
    p->log[0] = 0;
}

#define PICTURE(text)                                                                              \
    do {                                                                                           \
        char pic[32];                                                                              \
        picture(sp, &p, pic, 16);                                                                  \
        cr_expect_str_eq(pic, text, "line %d, space %d", __LINE__, direct);                        \
    } while (0)

Test(space, priorities)
{
    for (int direct = 0; direct < 2; direct++) {
        struct probe p = probe_new();
        struct space *sp = space_new("t", direct ? 65536 : BIT64(40));
        struct mapping *m1 = space_map_io(sp, 2, 10, &p.dev, 1, 1, 0);
        PICTURE("..1111111111....");
        struct mapping *m2 = space_map_io(sp, 4, 4, &p.dev, 2, 1, 5);
        PICTURE("..1122221111....");
        struct mapping *m3 = space_map_io(sp, 6, 8, &p.dev, 3, 1, 5); /* equal: the later wins */
        PICTURE("..1122333333"
                "33..");
        struct mapping *m4 = space_map_io(sp, 0, 16, &p.dev, 4, 1, -1); /* background */
        PICTURE("441122333333"
                "3344");
        space_enable(m3, false);
        PICTURE("4411222211114444");
        space_enable(m3, true);
        PICTURE("4411223333333344");
        space_move(m2, 11);
        PICTURE("4411113333333324");
        space_move(m2, 0);
        PICTURE("2222113333333344");
        space_unmap(m3);
        PICTURE("2222111111114444");
        space_unmap(m4);
        space_unmap(m1);
        space_unmap(NULL);
        PICTURE("2222............");
        space_move(m2, BIT64(45)); /* a BAR outside the space */
        PICTURE("................");
        space_move(m2, 14);
        PICTURE("..............22");
        space_free(sp);
    }
}

/* The chip set's PAM registers: reads from ROM or RAM, writes to RAM or nowhere, each alone. */
Test(space, pam)
{
    static u8 rom[4096] __attribute__((aligned(4096)));
    struct ram *r = ram(0x2000);
    struct space *sp = space_new("t", BIT64(40));
    memset(rom, 0x55, sizeof(rom));
    memset(r->base, 0x11, r->size);
    space_map_rom(sp, 0x1000, 0x1000, rom, 0);
    struct mapping *pam = space_map_ram(sp, 0x0, 0x2000, r, 0, MAP_WRITE, 1);

    cr_expect_eq(space_read(sp, 0x1000, 1), 0x55);
    space_write(sp, 0x1000, 0x22, 1); /* write-only shadow */
    cr_expect_eq(space_read(sp, 0x1000, 1), 0x55);
    cr_expect_eq(r->base[0x1000], 0x22);
    struct page_info pi = space_find(sp, 0x1fff);
    cr_expect(pi.read == rom && pi.write == r->base + 0x1000 && pi.ram == r);
    cr_expect_eq(pi.ram_off, 0x1000);
    cr_expect(space_ram_ptr(sp, 0x1000, 16, NULL, NULL) == NULL);

    space_set_flags(pam, MAP_RW);
    cr_expect_eq(space_read(sp, 0x1000, 1), 0x22);

    space_set_flags(pam, MAP_READ); /* read-only shadow: writes go to the ROM, which swallows */
    space_write(sp, 0x1000, 0x33, 1);
    cr_expect_eq(r->base[0x1000], 0x22);
    pi = space_find(sp, 0x1000);
    cr_expect(pi.read == r->base + 0x1000 && !pi.write && pi.ram == r);

    space_set_flags(pam, 0); /* not there */
    cr_expect_eq(space_read(sp, 0x1000, 1), 0x55);
    cr_expect_eq(space_read(sp, 0x0, 1), 0xff);
    pi = space_find(sp, 0x1000);
    cr_expect(pi.read == rom && !pi.write && !pi.ram);
    space_write(sp, 0x1000, 0x44, 4);
    cr_expect_eq(rom[0], 0x55);

    space_set_flags(pam, MAP_RW | MAP_ROM); /* RAM that swallows writes */
    space_write(sp, 0x1000, 0x44, 1);
    cr_expect_eq(space_read(sp, 0x1000, 1), 0x22);
    cr_expect(space_find(sp, 0x1000).write == NULL);
    space_free(sp);
    ram_free(r);
}

Test(space, pages_only_when_whole)
{
    struct probe p = probe_new();
    struct ram *r = ram(0x4000);
    struct space *sp = space_new("t", BIT64(40));
    space_map_ram(sp, 0x4000, 0x3000, r, 0x1000, MAP_RW, 0);
    space_map_io(sp, 0x5ffc, 4, &p.dev, 0, 4, 1); /* a device at the end of the second page */

    struct page_info pi = space_find(sp, 0x4abc);
    cr_expect(pi.read == r->base + 0x1000 && pi.write == pi.read && pi.ram == r);
    cr_expect_eq(pi.ram_off, 0x1000);
    pi = space_find(sp, 0x5000);
    cr_expect(!pi.read && !pi.write);
    pi = space_find(sp, 0x6000);
    cr_expect_eq(pi.write, r->base + 0x3000);
    cr_expect(!space_find(sp, 0x7000).read && !space_find(sp, 0x3000).read);

    u64 off;
    struct ram *which;
    cr_expect_eq(space_ram_ptr(sp, 0x4010, 0x1fec, &which, &off), r->base + 0x1010);
    cr_expect(which == r && off == 0x1010);
    cr_expect(!space_ram_ptr(sp, 0x4010, 0x1fed, NULL, NULL)); /* one byte into the device */
    cr_expect(!space_ram_ptr(sp, 0x6000, 0x1001, NULL, NULL)); /* past the end */
    cr_expect(!space_ram_ptr(sp, 0x6000, UINT64_MAX, NULL, NULL));
    cr_expect(!space_ram_ptr(sp, 0x6000, 0, NULL, NULL));
    space_free(sp);
    ram_free(r);
}

/* ---- changes -------------------------------------------------------------------------------- */
static void count(void *ctx)
{
    ++*(int *)ctx;
}

Test(space, listener_and_transactions)
{
    int n = 0;
    struct probe p = probe_new();
    struct space *sp = space_new("t", BIT64(40));
    space_set_listener(sp, count, &n);
    struct mapping *m = space_map_io(sp, 0, 16, &p.dev, 0, 4, 0);
    cr_expect_eq(n, 1);
    space_begin(sp);
    space_move(m, 0x100);
    space_begin(sp);
    space_enable(m, false);
    space_commit(sp);
    space_move(m, 0x200);
    space_enable(m, true);
    cr_expect_eq(n, 1);
    space_commit(sp);
    cr_expect_eq(n, 2);
    cr_expect_eq(space_read(sp, 0x204, 1), 0xa4);
    /* what changes nothing tells nobody */
    space_move(m, 0x200);
    space_enable(m, true);
    space_begin(sp);
    space_commit(sp);
    cr_expect_eq(n, 2);
    /* an unmapped mapping is gone at once, even inside a transaction */
    space_begin(sp);
    space_unmap(m);
    cr_expect_eq(space_read(sp, 0x204, 1), 0xff);
    space_commit(sp);
    cr_expect_eq(n, 3);
    space_free(sp);
}

static void move_away(struct probe *p)
{
    space_move(p->m, 0x4000);
}

static void vanish(struct probe *p)
{
    space_unmap(p->m);
    p->on_write = NULL;
}

/* A register write that moves or removes the window it came through. */
Test(space, device_changes_the_map)
{
    struct probe p = probe_new();
    for (int direct = 0; direct < 2; direct++) {
        struct space *sp = space_new("t", direct ? 65536 : BIT64(40));
        p.m = space_map_io(sp, 0x2000, 16, &p.dev, 0, 2, 0);
        p.on_write = move_away;
        space_write(sp, 0x2000, 0x1122334455667788, 8); /* the rest of a split access arrives */
        SAID(p, "w0+0.2=7788 w0+2.2=5566 w0+4.2=3344 w0+6.2=1122");
        cr_expect_eq(space_read(sp, 0x2000, 1), 0xff);
        p.on_write = vanish;
        space_write(sp, 0x4000, 0x11223344, 4);
        SAID(p, "w0+0.2=3344 w0+2.2=1122");
        p.m = space_map_io(sp, 0x2000, 16, &p.dev, 0, 1, 0);
        p.on_write = move_away;
        space_write_bulk(sp, 0x2000, "abcd", 4); /* the rest goes to what is there now: nothing */
        SAID(p, "w0+0.1=61 w0+1.1=62 w0+2.1=63 w0+3.1=64");
        space_free(sp);
    }
}

/* ---- RAM and bulk --------------------------------------------------------------------------- */
struct notes {
    char text[256];
};

static void code_hit(void *ctx, u64 off, u32 len)
{
    struct notes *n = ctx;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof(n->text) - at, "%s%llx.%x", at ? " " : "",
             (unsigned long long)off, len);
}

Test(space, writes_tell_the_code_cache)
{
    struct notes n = {{0}};
    struct ram *r = ram(0x5000);
    struct space *sp = space_new("t", BIT64(40));
    u8 buf[0x3000] = {0};
    r->code_write = code_hit;
    r->code_ctx = &n;
    space_map_ram(sp, 0x10000, 0x5000, r, 0, MAP_RW, 0);
    r->page_flags[1] = RAM_CODE | RAM_CLEAN;
    r->page_flags[3] = RAM_CLEAN;

    space_write(sp, 0x10ffc, 0, 4); /* the page before */
    space_write(sp, 0x12000, 0, 4); /* the page after */
    cr_expect_str_eq(n.text, "");
    space_write(sp, 0x10ffe, 0, 4); /* straddling: only what is in the page */
    cr_expect_str_eq(n.text, "1000.2");
    cr_expect_eq(r->page_flags[1], RAM_CODE, "written: no longer clean, still code");
    n.text[0] = 0;
    space_write_bulk(sp, 0x10800, buf, sizeof(buf));
    cr_expect_str_eq(n.text, "1000.1000");
    cr_expect_eq(r->page_flags[3], 0);
    n.text[0] = 0;
    space_read_bulk(sp, 0x10800, buf, sizeof(buf));
    space_read(sp, 0x11000, 8);
    cr_expect_str_eq(n.text, "");
    ram_note_write(r, 0x4ff0, 0x100000); /* beyond the end: no harm */
    ram_note_write(r, 0x900000, 1);
    space_free(sp);
    ram_free(r);
}

Test(space, bulk_over_everything)
{
    static u8 rom[4096] __attribute__((aligned(4096)));
    struct probe p = probe_new();
    struct ram *r = ram(0x1000);
    struct space *sp = space_new("t", BIT64(40));
    u8 buf[0x3010];
    memset(rom, 0x77, sizeof(rom));
    space_map_ram(sp, 0x1000, 0x1000, r, 0, MAP_RW, 0);
    space_map_rom(sp, 0x2000, 0x1000, rom, 0);
    space_map_io(sp, 0x3001, 6, &p.dev, 0, 2, 0);
    memset(r->base, 0x11, 0x1000);

    space_read_bulk(sp, 0xff8, buf, 0x2010); /* 8 of nothing, RAM, ROM, the device, nothing */
    cr_expect(buf[0] == 0xff && buf[7] == 0xff && buf[8] == 0x11 && buf[0x1007] == 0x11);
    cr_expect(buf[0x1008] == 0x77 && buf[0x2007] == 0x77 && buf[0x2008] == 0xff);
    for (int k = 0; k < 6; k++)
        cr_expect_eq(buf[0x2009 + k], 0xa0 + (u64)k, "device byte %d", k);
    cr_expect_eq(buf[0x200f], 0xff);

    p.log[0] = 0;
    memset(buf, 0x22, sizeof(buf));
    space_write_bulk(sp, 0x1ffc, buf, 0x1007);
    cr_expect_eq(ld_u32(r->base + 0xffc), 0x22222222);
    cr_expect_eq(rom[0], 0x77);
    SAID(p, "w0+0.1=22 w0+1.1=22");
    space_free(sp);
    ram_free(r);
}

/* Random maps against a table that is filled the slow way. */
Test(space, random_maps)
{
    enum { SPAN = 256, MAPS = 12 };
    u32 seed = 12345;
#define RND(n) ((int)((seed = seed * 1664525 + 1013904223) >> 8) % (n))
    for (int round = 0; round < 200; round++) {
        struct probe p[MAPS];
        struct mapping *m[MAPS];
        struct {
            int at, size, prio;
            bool on;
        } s[MAPS];
        bool direct = round & 1;
        struct space *sp = space_new("t", direct ? SPAN : BIT64(40));
        for (int k = 0; k < MAPS; k++) {
            p[k] = probe_new();
            s[k].at = RND(SPAN);
            s[k].size = 1 + RND(60);
            s[k].prio = RND(3);
            s[k].on = true;
            m[k] = space_map_io(sp, (u64)s[k].at, (u64)s[k].size, &p[k].dev, k, 1, s[k].prio);
        }
        for (int step = 0; step < 10; step++) {
            int k = RND(MAPS);
            if (RND(2)) {
                s[k].at = RND(SPAN);
                space_move(m[k], (u64)s[k].at);
            } else {
                s[k].on = !s[k].on;
                space_enable(m[k], s[k].on);
            }
            int a = RND(SPAN), best = -1;
            for (int j = 0; j < MAPS; j++)
                if (s[j].on && s[j].at <= a && a < s[j].at + s[j].size &&
                    (best < 0 || s[j].prio >= s[best].prio))
                    best = j;
            space_read(sp, (u64)a, 1);
            for (int j = 0; j < MAPS; j++) {
                cr_expect_eq(p[j].log[0] != 0, j == best, "round %d step %d", round, step);
                p[j].log[0] = 0;
            }
        }
        space_free(sp);
    }
}

/* ---- RAM itself ----------------------------------------------------------------------------- */
Test(ram, sizes)
{
    struct ram *r = NULL;
    struct error err;
    cr_expect_eq(ram_new(0, &r, &err), ST_INVAL);
    cr_expect_eq(ram_new(4097, &r, &err), ST_INVAL);
    err.msg[0] = 0;
    cr_expect_eq(ram_new(BIT64(62), &r, &err), ST_NOMEM); /* more than any host has */
    cr_expect(err.msg[0] != 0 && !strchr(err.msg, '\n'));
    cr_expect(r == NULL);
    cr_assert_eq(ram_new(16 * GIB, &r, &err), ST_OK); /* costs nothing until it is used */
    r->base[16 * GIB - 1] = 1;
    cr_expect_eq(r->base[8 * GIB], 0);
    ram_free(r);
    ram_free(NULL);
}

Test(ram, discard)
{
    struct ram *ram;
    struct error err;
    cr_assert_eq(ram_new(16 * 4096, &ram, &err), ST_OK);
    for (int private = 0; private < 2; private ++) {
        memset(ram->base, 0x55, ram->size);
        ram->page_flags[2] = ram->page_flags[3] = RAM_CLEAN;
        ram_discard(ram, 4096 * 2 - 1, 4096 + 2); /* page 2 is the only whole one */
        cr_expect(ram->base[4096 * 2 - 1] == 0x55 && ram->base[4096 * 2] == 0);
        cr_expect(ram->base[4096 * 3 - 1] == 0 && ram->base[4096 * 3] == 0x55);
        cr_expect(ram->page_flags[2] == 0 && ram->page_flags[3] == RAM_CLEAN);
        ram_discard(ram, 4096 * 5, 4095);
        ram_discard(ram, 4096 * 15, 4097);
        ram_discard(ram, UINT64_MAX - 4095, 8192);
        ram_discard(ram, 0, UINT64_MAX);
        for (u64 page = 4; page < 16; page++)
            cr_expect_eq(ram->base[4096 * page], 0x55);
        ram_discard(ram, 0, ram->size);
        cr_expect_eq(ram->base[0] | ram->base[ram->size - 1], 0);
        if (!private)
            cr_assert_eq(ram_make_private(ram, &err), ST_OK);
    }
    ram_free(ram);
}
