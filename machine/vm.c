/*
 * machine/vm.c - the facade: making a VM, the run loop, stopping, statistics.
 *
 * One thread runs the VM. Between slices of guest execution it serves timers and the inbox; a
 * halted CPU sleeps in the inbox until the next deadline, so an idle guest costs nothing.
 */
#include "machine/vm_priv.h"
#include "machine/engine_priv.h"
#include "base/log.h"
#include "devices/acpi_pm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SLICE_NS = 200000, /* how long input may wait while the guest computes */
    SLICE_MIN = 200,   /* instructions */
    SLICE_MAX = 400000,
};

/* 2000-01-01 00:00 UTC: runs that must be identical also begin at the same time. */
#define ICOUNT_EPOCH (946684800 * NS_PER_SEC)

void vm_config_init(struct vm_config *c)
{
    memset(c, 0, sizeof(*c));
    c->ram_size = 128 * MIB;
    c->rtc_base_ns = -1;
    sound_config_init(&c->sound);
}

struct device *vm_add(struct vm *vm, struct device *d)
{
    CHECK(vm->n_devices < VM_MAX_DEVICES);
    vm->devices[vm->n_devices++] = d;
    return d;
}

void vm_event(struct vm *vm, u32 ev)
{
    vm->events |= ev;
    cpu_cut_slice(vm->cpu);
}

enum status load_file(const char *path, u64 max, u8 **data, u64 *size, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    enum status r = ST_OK;
    u8 *buf = NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        r = fail(err, ST_FORMAT, "%s is not a regular file", path);
    else if (st.st_size == 0)
        r = fail(err, ST_FORMAT, "%s is empty", path);
    else if ((u64)st.st_size > max)
        r = fail(err, ST_RANGE, "%s is too large: %llu bytes, at most %llu", path,
                 (unsigned long long)st.st_size, (unsigned long long)max);
    else if (!(buf = malloc((size_t)st.st_size)))
        r = fail(err, ST_NOMEM, "out of memory for %s", path);
    u64 n = 0;
    while (r == ST_OK && n < (u64)st.st_size) {
        ssize_t got = read(fd, buf + n, (size_t)((u64)st.st_size - n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            r = fail(err, ST_IO, "cannot read %s: %s", path, got ? strerror(errno) : "file shrank");
        else
            n += (u64)got;
    }
    close(fd);
    if (r != ST_OK) {
        free(buf);
        return r;
    }
    *data = buf;
    *size = n;
    return ST_OK;
}

/* ---- making
 * ------------------------------------------------------------------------------------------ */
static const char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

static void copy_config(struct vm *vm, const struct vm_config *c)
{
    vm->cfg = *c;
    vm->cfg.machine = copy(c->machine ? c->machine : "pc");
    vm->cfg.engine = copy(c->engine);
    vm->cfg.pv = copy(c->pv);
    vm->cfg.cpu = copy(c->cpu);
    vm->cfg.bios_path = copy(c->bios_path);
    vm->cfg.vgabios_path = copy(c->vgabios_path);
    vm->cfg.kernel_path = copy(c->kernel_path);
    vm->cfg.initrd_path = copy(c->initrd_path);
    vm->cfg.append = copy(c->append);
    vm->cfg.flat_path = copy(c->flat_path);
}

static void free_config(struct vm *vm)
{
    const char *s[] = {vm->cfg.machine,     vm->cfg.engine,      vm->cfg.pv,
                       vm->cfg.cpu,         vm->cfg.bios_path,   vm->cfg.vgabios_path,
                       vm->cfg.kernel_path, vm->cfg.initrd_path, vm->cfg.append,
                       vm->cfg.flat_path};
    for (size_t k = 0; k < ARRAY_LEN(s); k++)
        free((void *)(uintptr_t)s[k]);
}

static u64 icount_now(void *ctx)
{
    struct vm *vm = ctx;
    return vm->cpu ? speed_icount_ns(vm, cpu_icount(vm->cpu)) : 0;
}

static void clock_kick(void *ctx)
{
    struct vm *vm = ctx;
    if (vm->cpu)
        cpu_cut_slice(vm->cpu);
}

static void inbox_kick(void *ctx)
{
    struct vm *vm = ctx;
    cpu_kick(vm->cpu);
}

static u64 wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

static enum status check_config(const struct vm_config *c, struct error *err)
{
    if (c->machine && strcmp(c->machine, "pc") && strcmp(c->machine, "microvm"))
        return fail(err, ST_INVAL, "unknown machine '%s' (there are: pc, microvm)", c->machine);
    enum status st = engine_check(c->engine, err);
    if (st == ST_OK)
        st = pv_check(c, err);
    if (st != ST_OK)
        return st;
    if (c->ram_size < MIB || c->ram_size > 64 * GIB || (c->ram_size & ~PAGE_MASK))
        return fail(err, ST_INVAL, "memory size must be 1 MiB to 64 GiB, a multiple of 4 KiB");
    if (c->initrd_path && !c->kernel_path)
        return fail(err, ST_INVAL, "an initrd needs a kernel (-kernel)");
    if (c->append && !c->kernel_path)
        return fail(err, ST_INVAL, "a kernel command line needs a kernel (-kernel)");
    if (c->kernel_path && c->flat_path)
        return fail(err, ST_INVAL, "a kernel and a ROM image cannot both be booted");
    if (c->icount_shift > 20)
        return fail(err, ST_INVAL, "icount shift must be 0 to 20");
    return speed_check(c, err);
}

enum status vm_power_on(struct vm *vm, struct error *err)
{
    cpu_reset(vm->cpu, false);
    memset(vm->irq_levels, 0, sizeof(vm->irq_levels));
    for (int k = 0; k < vm->n_devices; k++)
        device_reset(vm->devices[k]);
    if (vm->cfg.bare)
        return bare_power_on(vm, err);
    if (vm->cfg.kernel_path) {
        vm->before_kernel(vm);
        return load_linux(vm, err);
    }
    return ST_OK;
}

enum status vm_new(const struct vm_config *c, struct vm **out, struct error *err)
{
    enum status st = check_config(c, err);
    if (st != ST_OK)
        return st;
    struct vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return fail(err, ST_NOMEM, "out of memory");
    copy_config(vm, c);
    vm->insns_per_us = 100;
    speed_init(vm);
    vm->inbox = inbox_new();
    vm->mem = space_new("memory", BIT64(52));
    vm->ports = space_new("ports", 65536);
    u64 wall = c->rtc_base_ns >= 0 ? (u64)c->rtc_base_ns : c->icount ? ICOUNT_EPOCH : wall_now();
    vm->clk = clock_new(c->icount ? CLOCK_ICOUNT : CLOCK_REAL, wall);
    if (c->icount)
        clock_set_source(vm->clk, icount_now, vm);
    st = ram_new(c->ram_size, &vm->ram, err);
    if (st == ST_OK) {
        struct cpu_config cc = {
            .model = c->cpu, .clk = vm->clk, .mem = vm->mem, .ports = vm->ports, .ram = vm->ram};
        st = cpu_new(&cc, &vm->cpu, err);
    }
    if (st == ST_OK) {
        vm->cpu->sequenced = c->icount;
        pv_attach(vm);
        clock_set_kick(vm->clk, clock_kick, vm);
        inbox_set_kick(vm->inbox, inbox_kick, vm);
        bool micro = !strcmp(vm->cfg.machine, "microvm");
        st = c->bare ? bare_new(vm, err) : micro ? microvm_new(vm, err) : pc_new(vm, err);
    }
    if (st == ST_OK)
        st = engine_attach(vm->cpu, c->engine, err);
    if (st == ST_OK)
        vm->block_max = vm->cpu->block_max;
    if (st == ST_OK)
        st = vm_power_on(vm, err);
    if (st == ST_OK)
        st = virtio_add_devices(vm, err);
    if (st == ST_OK)
        st = net_add_cards(vm, err);
    if (st == ST_OK)
        st = sound_add_cards(vm, err);
    if (st == ST_OK && vm->ide)
        st = pc_attach_drives(vm, err);
    if (st == ST_OK)
        virtio_add_disks(vm);
    if (st == ST_OK && vm->pci && c->kernel_path)
        pc_assign_resources(vm); /* power-on saw the board's own functions only */
    if (st != ST_OK) {
        /* the caller keeps its backends */
        memset(vm->cfg.ide, 0, sizeof(vm->cfg.ide));
        memset(vm->cfg.floppy, 0, sizeof(vm->cfg.floppy));
        memset(vm->cfg.pv_disk, 0, sizeof(vm->cfg.pv_disk));
        vm_free(vm);
        return st;
    }
    *out = vm;
    return ST_OK;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    alarms_free(vm);
    trace_free(vm);
    views_free(vm);
    for (int k = vm->n_devices - 1; k >= 0; k--)
        device_destroy(vm->devices[k]);
    for (int k = 0; k < VM_MAX_IDE; k++)
        block_close(vm->cfg.ide[k].block);
    for (int k = 0; k < VM_MAX_PV_DISKS; k++)
        block_close(vm->cfg.pv_disk[k]);
    engine_detach(vm->cpu);
    cpu_free(vm->cpu);
    space_free(vm->mem);
    space_free(vm->ports);
    ram_free(vm->ram);
    clock_free(vm->clk);
    inbox_free(vm->inbox);
    free(vm->bios);
    free(vm->vgabios);
    free_config(vm);
    free(vm);
}

/* ---- running
 * ------------------------------------------------------------------------------------------- */
/* How many instructions to run before looking at timers and input again. */
static i64 slice_length(struct vm *vm)
{
    u64 next = clock_next(vm->clk), now = clock_now(vm->clk);
    u64 ns = next > now ? next - now : 0;
    if (vm->cfg.icount) {
        return (i64)MIN(speed_icount_insns(vm, ns), (u64)SLICE_MAX);
    }
    ns = MIN(ns, (u64)SLICE_NS);
    u64 n = ns * vm->insns_per_us / 1000;
    return (i64)speed_slice(vm, MAX(MIN(n, (u64)SLICE_MAX), (u64)SLICE_MIN));
}

static void learn_speed(struct vm *vm, u64 insns, u64 ns)
{
    if (ns < 20000 || vm->cfg.icount)
        return;
    u64 rate = insns * 1000 / ns;
    vm->insns_per_us = MAX((vm->insns_per_us * 7 + MIN(rate, 4000)) / 8, 4);
}

static void sleep_halted(struct vm *vm)
{
    pv_sleep(vm);
    u64 before = clock_now(vm->clk);
    u64 next = clock_next(vm->clk);
    if (vm->cfg.icount && next != CLOCK_NEVER && !inbox_pending(vm->inbox))
        clock_warp(vm->clk, next);
    else if (vm->never_wait)
        vm->stop_wanted = 1;
    else if (next > before)
        inbox_wait(vm->inbox, next == CLOCK_NEVER ? CLOCK_NEVER : next - before);
    vm->halted_ns += clock_now(vm->clk) - before;
}

/* Serves what was asked for during the slice. True: vm_run returns *why. */
static bool handle_events(struct vm *vm, enum vm_stop *why, struct error *err)
{
    u32 ev = vm->events;
    vm->events = 0;
    if (ev & EV_EXIT) {
        *why = VM_STOP_EXIT;
        return true;
    }
    if (ev & EV_POWEROFF) {
        *why = VM_STOP_POWEROFF;
        return true;
    }
    if (ev & (EV_RESET | EV_TRIPLE)) {
        if (vm->cfg.no_reboot) {
            *why = ev & EV_TRIPLE ? VM_STOP_TRIPLE_FAULT : VM_STOP_RESET;
            return true;
        }
        if (vm_power_on(vm, err) != ST_OK) {
            *why = VM_STOP_ERROR;
            return true;
        }
    }
    return false;
}

enum vm_stop vm_run(struct vm *vm, struct error *err)
{
    enum vm_stop why;
    debug_resume(vm);
    vm->live.last_ns = 0;
    for (;;) {
        if (vm->stop_wanted) {
            vm->stop_wanted = 0;
            return VM_STOP_REQUEST;
        }
        if (unlikely(vm->debug.wanted))
            return debug_stop(vm, VM_DEBUG_INTERRUPT);
        if (unlikely(vm->view.toggle_wanted))
            views_toggle(vm);
        inbox_drain(vm->inbox);
        clock_run(vm->clk);
        if (unlikely(vm->events) && handle_events(vm, &why, err))
            return why;
        if (unlikely(vm->speed.free_at) && speed_rest(vm))
            continue;
        enum cpu_exit e;
        if (unlikely(vm->debug.step)) {
            bool done;
            e = debug_step(vm, &done);
            if (e != CPU_BREAK && done && e != CPU_SHUTDOWN)
                return debug_stop(vm, VM_DEBUG_STEP);
        } else {
            pv_enter(vm);
            u64 t0 = clock_now(vm->clk), n0 = vm->cpu->insns;
            i64 slice = slice_length(vm);
            if (unlikely(vm->stop_at)) {
                if (n0 >= vm->stop_at) {
                    vm->stop_at = 0;
                    return VM_STOP_REQUEST;
                }
                slice = (i64)MIN((u64)slice, vm->stop_at - n0);
            }
            e = cpu_run(vm->cpu, slice);
            learn_speed(vm, vm->cpu->insns - n0, clock_now(vm->clk) - t0);
            speed_spent(vm, t0, vm->cpu->insns - n0);
            if (unlikely(vm->live.on))
                live_slice(vm, false);
        }
        if (e == CPU_BREAK)
            return debug_stop(vm, VM_DEBUG_BREAK);
        if (e == CPU_SHUTDOWN)
            vm->events |= EV_TRIPLE;
        else if (e == CPU_HALT && vm->cfg.bare && !vm->events) /* nothing can wake it */
            return VM_STOP_POWEROFF;
        else if (e == CPU_HALT && !vm->events && !vm->stop_wanted && !vm->debug.wanted) {
            sleep_halted(vm);
            if (unlikely(vm->live.on))
                live_slice(vm, true);
        }
    }
}

void vm_pause_time(struct vm *vm)
{
    if (!vm->debug.paused) /* a debugger's stop does the same */
        clock_pause(vm->clk);
    vm->debug.paused = true;
}

void vm_attend(struct vm *vm, u64 ns)
{
    inbox_wait(vm->inbox, ns);
    inbox_drain(vm->inbox);
}

int vm_exit_code(const struct vm *vm)
{
    return vm->exit_code;
}

/* Signal handlers call this: nothing here locks or allocates. */
void vm_stop(struct vm *vm)
{
    vm->stop_wanted = 1;
    inbox_wake(vm->inbox);
    cpu_kick(vm->cpu);
}

static void do_reset(void *ctx, const void *data, u32 len)
{
    (void)data;
    (void)len;
    vm_event(ctx, EV_RESET);
}

static void do_power_button(void *ctx, const void *data, u32 len)
{
    struct vm *vm = ctx;
    (void)data;
    (void)len;
    if (vm->pm)
        acpi_pm_power_button(vm->pm);
}

void vm_power_button(struct vm *vm)
{
    inbox_post(vm->inbox, do_power_button, vm, NULL, 0);
}

void vm_reset_button(struct vm *vm)
{
    inbox_post(vm->inbox, do_reset, vm, NULL, 0);
}

bool vm_post(struct vm *vm, void (*fn)(void *ctx, const void *data, u32 len), void *ctx,
             const void *data, u32 len)
{
    return inbox_post(vm->inbox, fn, ctx, data, len);
}

struct input_sink *vm_input(struct vm *vm)
{
    return vm->input;
}

struct screen *vm_screen(struct vm *vm)
{
    return vm->screen;
}

void vm_stats(const struct vm *vm, struct vm_stats *out)
{
    const struct cpu *c = vm->cpu;
    *out = (struct vm_stats){
        .insns = cpu_icount(c),
        .run_ns = clock_now(vm->clk),
        .halted_ns = vm->halted_ns,
        .io_accesses = c->mmu.io_accesses,
        .interrupts = c->n_interrupts,
        .exceptions = c->n_exceptions,
        .hypercalls = c->n_hypercalls,
        .tlb_misses = c->mmu.misses,
        .blocks_decoded = c->n_blocks,
        .block_invalidations = c->n_invalidations,
    };
}

void vm_read_phys(struct vm *vm, gpa addr, void *buf, u64 len)
{
    space_read_bulk(vm->mem, addr, buf, len);
}

void vm_write_phys(struct vm *vm, gpa addr, const void *buf, u64 len)
{
    space_write_bulk(vm->mem, addr, buf, len);
}

size_t vm_dump_cpu(const struct vm *vm, char *buf, size_t size)
{
    return cpu_dump(vm->cpu, buf, size);
}

const char *const *vm_cpu_models(void)
{
    return cpu_model_names();
}

const char *const *vm_engines(void)
{
    return engine_names();
}

const char *const *vm_machines(void)
{
    static const char *const names[] = {"pc", "microvm", NULL};
    return names;
}
