/*
 * tests/machine/machine_rig.h - whole machines for tests: small ROMs and kernels made in memory,
 * written to temporary files; a debug console that remembers.
 */
#ifndef TESTS_MACHINE_MACHINE_RIG_H
#define TESTS_MACHINE_MACHINE_RIG_H

#include <criterion/criterion.h> /* first: it uses the name noreturn its own way */

#include "base/bits.h"
#include "machine/vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROM_SIZE = 65536 };

/* ---- code, byte by byte -------------------------------------------------------------------- */
struct code {
    u8 b[ROM_SIZE];
    size_t n;
};

static inline void emit(struct code *c, const void *p, size_t n)
{
    cr_assert(c->n + n <= sizeof(c->b));
    memcpy(c->b + c->n, p, n);
    c->n += n;
}
#define CODE(c, ...) emit(c, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* out 0xe9, 'ch' */
static inline void say(struct code *c, char ch)
{
    CODE(c, 0xb0, (u8)ch, 0xe6, 0xe9);
}

/* Real mode: mov dx, port; mov al, v; out dx, al */
static inline void out16(struct code *c, u16 port, u8 v)
{
    CODE(c, 0xba, (u8)port, (u8)(port >> 8), 0xb0, v, 0xee);
}

/* Real mode: mov dx, port; mov eax, v; out dx, eax */
static inline void out16l(struct code *c, u16 port, u32 v)
{
    CODE(c, 0xba, (u8)port, (u8)(port >> 8), 0x66, 0xb8, (u8)v, (u8)(v >> 8), (u8)(v >> 16),
         (u8)(v >> 24), 0x66, 0xef);
}

/* Ends the VM with exit code v * 2 + 1. */
static inline void quit16(struct code *c, u8 v)
{
    out16(c, 0x501, v);
    CODE(c, 0xfa, 0xf4, 0xeb, 0xfd);
}

/* The code at F000:0000, reached from the reset vector. */
static inline void make_rom(struct code *c)
{
    static const u8 jump[] = {0xea, 0, 0, 0, 0xf0};
    c->n = ROM_SIZE;
    memcpy(c->b + 0xfff0, jump, sizeof(jump));
}

/* ---- files --------------------------------------------------------------------------------- */
struct file {
    char path[64];
};

static inline void file_write(struct file *f, const void *data, size_t n)
{
    strcpy(f->path, "/tmp/trivisor-machine-XXXXXX");
    int fd = mkstemp(f->path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, data, n), (ssize_t)n);
    close(fd);
}

static inline void file_remove(struct file *f)
{
    unlink(f->path);
}

/* ---- machines ------------------------------------------------------------------------------ */
struct machine {
    struct vm_config cfg;
    struct vm *vm;
    struct chardev con;
    char text[256];
    size_t n;
    struct error err;
};

static inline void con_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct machine *m = container_of(c, struct machine, con);
    for (size_t k = 0; k < len && m->n + 1 < sizeof(m->text); k++)
        m->text[m->n++] = (char)buf[k];
}

static inline void machine_init(struct machine *m)
{
    static const struct chardev_ops ops = {.write = con_write};
    memset(m, 0, sizeof(*m));
    vm_config_init(&m->cfg);
    m->cfg.ram_size = 4 * MIB;
    m->cfg.cpu = "x86-64";
    m->cfg.no_reboot = true;
    m->cfg.icount = true; /* no test waits for the host's time */
    m->cfg.icount_shift = 4;
    m->con.ops = &ops;
    m->cfg.debugcon = &m->con;
}

static inline enum status machine_start(struct machine *m)
{
    return vm_new(&m->cfg, &m->vm, &m->err);
}

/* Runs code (a ROM) to its end. */
static inline enum vm_stop run_rom(struct machine *m, struct code *c)
{
    struct file f;
    make_rom(c);
    file_write(&f, c->b, ROM_SIZE);
    m->cfg.flat_path = f.path;
    enum status st = machine_start(m);
    cr_assert_eq(st, ST_OK, "%s", m->err.msg);
    file_remove(&f);
    return vm_run(m->vm, &m->err);
}

/* An error has one line, and nothing was made. */
static inline void expect_error(struct machine *m, enum status want, const char *part)
{
    m->vm = NULL;
    enum status st = machine_start(m);
    cr_expect_eq(st, want, "status %d (%s), not %d, for \"%s\"", st, m->err.msg, want, part);
    cr_expect_null(m->vm);
    cr_expect(strstr(m->err.msg, part), "\"%s\" does not say \"%s\"", m->err.msg, part);
    cr_expect_null(strchr(m->err.msg, '\n'));
    if (m->vm)
        vm_free(m->vm);
}

#endif
