/*
 * machine/debug.c - the machine's side of a debugger: stops, steps, and memory without effects.
 *
 * Linear memory goes through mmu_peek. What is read from devices is what their peek says; devices
 * are not written.
 */
#include "machine/debug.h"
#include "machine/vm_priv.h"
#include "base/log.h"
#include "cpu/breaks.h"

#include <string.h>

_Static_assert((int)VM_BREAK_SOFT == BREAK_SOFT && (int)VM_BREAK_HARD == BREAK_HARD &&
                   (int)VM_BREAK_PHYS == BREAK_PHYS && (int)VM_WATCH_WRITE == WATCH_WRITE &&
                   (int)VM_WATCH_READ == WATCH_READ && (int)VM_WATCH_ACCESS == WATCH_ACCESS,
               "the two lists of kinds are one");
_Static_assert((int)VM_MAX_BREAKS == CPU_MAX_BREAKS && (int)VM_MAX_WATCH_LEN == CPU_MAX_WATCH_LEN,
               "limits are the CPU's");

/* ---- for vm_run ---------------------------------------------------------------------------- */
enum vm_stop debug_stop(struct vm *vm, enum vm_debug_why why)
{
    struct cpu_break met = cpu_break_met(vm->cpu);
    vm->debug.stop = (struct vm_debug_stop){.why = why};
    if (why == VM_DEBUG_BREAK) {
        vm->debug.stop.met = (struct vm_break){(enum vm_break_kind)met.kind, met.addr, met.len};
        if (met.kind >= WATCH_WRITE)
            vm->debug.stop.why = VM_DEBUG_WATCH;
    }
    vm->debug.wanted = 0;
    vm->debug.step = false;
    cpu_break_pass(vm->cpu);
    vm->debug.paused = true;
    clock_pause(vm->clk);
    return VM_STOP_DEBUG;
}

void debug_resume(struct vm *vm)
{
    if (vm->debug.paused)
        clock_resume(vm->clk);
    vm->debug.paused = false;
}

enum cpu_exit debug_step(struct vm *vm, bool *done)
{
    bool halted = vm->cpu->pending & PEND_HALT;
    /* only an interrupt ends a halt */
    enum cpu_exit e = halted ? cpu_step(vm->cpu) : cpu_step_held(vm->cpu);
    *done = !(halted && (vm->cpu->pending & PEND_HALT));
    return e;
}

/* ---- for front ends ------------------------------------------------------------------------ */
struct vm_debug_stop vm_debug_stop(const struct vm *vm)
{
    return vm->debug.stop;
}

static struct cpu_break to_cpu(const struct vm_break *b)
{
    return (struct cpu_break){.kind = (enum break_kind)b->kind, .addr = b->addr, .len = b->len};
}

enum status vm_debug_insert(struct vm *vm, const struct vm_break *b)
{
    struct cpu_break c = to_cpu(b);
    return cpu_break_add(vm->cpu, &c);
}

bool vm_debug_remove(struct vm *vm, const struct vm_break *b)
{
    struct cpu_break c = to_cpu(b);
    return cpu_break_remove(vm->cpu, &c);
}

void vm_debug_remove_all(struct vm *vm)
{
    cpu_break_clear(vm->cpu);
}

void vm_debug_step(struct vm *vm, int vcpu, bool on)
{
    CHECK(vcpu == 0);
    vm->debug.step = on;
}

void vm_debug_interrupt(struct vm *vm)
{
    vm->debug.wanted = 1;
    inbox_wake(vm->inbox);
    cpu_kick(vm->cpu);
}

bool vm_debug_stop_wanted(const struct vm *vm)
{
    return vm->stop_wanted;
}

/* ---- memory -------------------------------------------------------------------------------- */
bool vm_debug_translate(struct vm *vm, int vcpu, u64 addr, u64 *phys)
{
    struct cpu *c = vm->cpu;
    CHECK(vcpu == 0);
    if (c->efer & EFER_LMA ? (u64)((i64)(addr << 16) >> 16) != addr : addr >> 32)
        return false;
    return mmu_peek(&c->mmu, addr, phys);
}

/* At most to the end of a page. */
static void read_part(struct vm *vm, u64 addr, u8 *buf, u64 len)
{
    struct page_info pi = space_find(vm->mem, addr & PAGE_MASK);
    if (pi.read) {
        memcpy(buf, pi.read + (addr & ~PAGE_MASK), len);
        return;
    }
    for (u64 k = 0; k < len; k++)
        buf[k] = (u8)space_peek(vm->mem, addr + k, 1);
}

static bool write_part(struct vm *vm, u64 addr, const u8 *buf, u64 len)
{
    struct page_info pi = space_find(vm->mem, addr & PAGE_MASK);
    if (!pi.write || !pi.ram)
        return false;
    memcpy(pi.write + (addr & ~PAGE_MASK), buf, len);
    ram_note_write(pi.ram, pi.ram_off + (addr & ~PAGE_MASK), len);
    return true;
}

#define PHYS_END BIT64(52)

static u64 each_page(struct vm *vm, int vcpu, u64 addr, u8 *out, const u8 *in, u64 len)
{
    u64 done = 0;
    while (done < len) {
        u64 at = addr + done, phys = at;
        u64 n = MIN(len - done, PAGE_SIZE - (at & ~PAGE_MASK));
        if (vcpu < 0 ? at >= PHYS_END : !vm_debug_translate(vm, vcpu, at, &phys))
            break;
        if (out)
            read_part(vm, phys, out + done, n);
        else if (!write_part(vm, phys, in + done, n))
            break;
        done += n;
    }
    return done;
}

u64 vm_debug_read(struct vm *vm, int vcpu, u64 addr, void *buf, u64 len)
{
    return each_page(vm, vcpu, addr, buf, NULL, len);
}

u64 vm_debug_write(struct vm *vm, int vcpu, u64 addr, const void *buf, u64 len)
{
    return each_page(vm, vcpu, addr, NULL, buf, len);
}

u64 vm_debug_read_phys(struct vm *vm, u64 addr, void *buf, u64 len)
{
    return each_page(vm, -1, addr, buf, NULL, len);
}

u64 vm_debug_write_phys(struct vm *vm, u64 addr, const void *buf, u64 len)
{
    return each_page(vm, -1, addr, NULL, buf, len);
}

/* ---- CPUs ---------------------------------------------------------------------------------- */
int vm_debug_vcpus(const struct vm *vm)
{
    return 1;
}

struct vm_debug_cpu vm_debug_cpu(const struct vm *vm, int vcpu)
{
    CHECK(vcpu == 0);
    return (struct vm_debug_cpu){
        .long_mode = cpu_has(vm->cpu, FEAT_LM),
        .sse = cpu_has(vm->cpu, FEAT_SSE),
        .avx = cpu_has(vm->cpu, FEAT_AVX),
        .halted = vm->cpu->pending & PEND_HALT,
        .cr8 = cpu_cr8(vm->cpu),
    };
}

bool vm_debug_read_msr(struct vm *vm, int vcpu, u32 msr, u64 *v)
{
    CHECK(vcpu == 0);
    return cpu_read_msr(vm->cpu, msr, v);
}

void vm_debug_write_cr8(struct vm *vm, int vcpu, u64 v)
{
    CHECK(vcpu == 0);
    cpu_set_cr8(vm->cpu, v);
}

enum status vm_debug_reset(struct vm *vm, struct error *err)
{
    vm->events = 0;
    return vm_power_on(vm, err);
}
