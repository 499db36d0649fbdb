/*
 * tests/machine/test_media.c - changing media of a whole machine: what the front end is told, who
 * owns a block, and the disk change line as a guest's port read sees it.
 */
#include "tests/machine/machine_rig.h"

#include "machine/lockstep.h"
#include "machine/media.h"

#include <string.h>

/* A block that tells when it is closed. */
struct told {
    struct block b;
    int *closed;
};

static enum status told_read(struct block *b, u64 off, void *buf, size_t len)
{
    memset(buf, 0x5a, len);
    return ST_OK;
}

static void told_close(struct block *b)
{
    struct told *t = (struct told *)b;
    ++*t->closed;
    free(t);
}

static const struct block_ops told_ops = {.read = told_read, .close = told_close};

static struct block *told(u64 size, const char *name, int *closed)
{
    struct told *t = calloc(1, sizeof(*t));
    cr_assert(t);
    t->b = (struct block){.ops = &told_ops, .size = size, .readonly = true};
    snprintf(t->b.name, sizeof(t->b.name), "%s", name);
    t->closed = closed;
    return &t->b;
}

/* Motor of drive 0 on, the head to track 1; sends the digital input register, for ever. */
static void begin(struct machine *m, struct code *c)
{
    static const u8 seek[] = {0x0f, 0, 1};
    out16(c, 0x3f2, 0x1c);
    for (size_t k = 0; k < sizeof(seek); k++)
        out16(c, 0x3f5, seek[k]);
    size_t loop = c->n;
    CODE(c, 0xba, 0xf7, 0x03, 0xec, 0xe6, 0xe9); /* in al, dx; out e9h, al */
    CODE(c, 0xeb, (u8)(loop - c->n - 2));
    machine_init(m);
    m->cfg.ide[2].cdrom = true;
}

static void run_on(struct machine *m, struct file *f, struct code *c)
{
    make_rom(c);
    file_write(f, c->b, ROM_SIZE);
    m->cfg.flat_path = f->path;
    cr_assert_eq(machine_start(m), ST_OK, "%s", m->err.msg);
    file_remove(f);
}

Test(media, drives_and_owners)
{
    struct machine m;
    struct code c = {0};
    struct file f;
    struct vm_medium all[VM_MAX_MEDIA], one;
    struct error err;
    int closed[4] = {0};
    begin(&m, &c);
    m.cfg.ide[2].block = told(2048 * 100, "first.iso", &closed[0]);
    run_on(&m, &f, &c);
    cr_assert_eq(vm_media(m.vm, all), 2, "a floppy drive and a CD drive");
    cr_expect(!strcmp(all[0].name, "fd0") && !all[0].loaded && !all[0].file[0]);
    cr_expect(!strcmp(all[1].name, "cd2") && all[1].loaded && !strcmp(all[1].file, "first.iso"));

    struct block *b = told(2048 * 10, "second.iso", &closed[1]);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 2, b, false, &err), ST_OK);
    cr_expect(closed[0] == 1 && closed[1] == 0);
    cr_assert(vm_media_find(m.vm, "cd2", &one));
    cr_expect(!strcmp(one.file, "second.iso") && one.size == 20480 && one.readonly);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 2, NULL, false, &err), ST_OK);
    cr_expect_eq(closed[1], 1);
    cr_assert(vm_media_find(m.vm, "cd2", &one));
    cr_expect(!one.loaded && !one.file[0]);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 2, NULL, false, &err), ST_OK, "empty: fine");

    b = told(3 * MIB, "large.img", &closed[2]);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, 0, b, false, &err), ST_FORMAT);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, 1, b, false, &err), ST_INVAL);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, -1, b, false, &err), ST_INVAL);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 0, b, false, &err), ST_INVAL);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 4, b, false, &err), ST_INVAL);
    cr_expect_eq(closed[2], 0, "what was refused is the caller's");
    cr_expect_not(vm_media_find(m.vm, "cd0", &one));
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_CD, 2, b, true, &err), ST_OK);
    b = told(1440 * KIB, "a.img", &closed[3]);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, 0, b, false, &err), ST_OK);
    vm_free(m.vm);
    cr_expect(closed[2] == 1 && closed[3] == 1, "closed with the machine");
}

/* What the register read last, after some ms. */
static int line(struct machine *m)
{
    cr_assert_eq(vm_run_insns(m->vm, 1000000, &m->err), VM_STOP_REQUEST);
    m->n = 0;
    cr_assert_eq(vm_run_insns(m->vm, 100, &m->err), VM_STOP_REQUEST);
    cr_assert(m->n > 0);
    return (u8)m->text[m->n - 1];
}

Test(media, the_guest_sees_the_change_line)
{
    struct machine m;
    struct code c = {0};
    struct file f;
    struct error err;
    begin(&m, &c);
    m.cfg.floppy[0] = block_new_mem(1440 * KIB);
    run_on(&m, &f, &c);
    cr_expect_eq(line(&m), 0x00, "the head has moved over the disk");
    struct block *b = block_new_mem(720 * KIB);
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, 0, b, false, &err), ST_OK);
    cr_expect_eq(line(&m), 0x80, "changed, and no step since");
    cr_expect_eq(vm_media_change(m.vm, VM_MEDIUM_FLOPPY, 0, NULL, false, &err), ST_OK);
    cr_expect_eq(line(&m), 0x80);
    vm_free(m.vm);
}
