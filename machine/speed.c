/*
 * machine/speed.c - a slower CPU for software that expects one.
 *
 * What it is: every slice of instructions costs time, and the CPU rests until that time has passed;
 * timers and input are served meanwhile. Who has not used its time for a while (a halted guest, a
 * busy host) may catch up on CREDIT_NS of it and no more. What it is not: cycle-exact: an
 * instruction costs the same whatever it does. With icount nothing sleeps: virtual time itself
 * advances by a second every insns_per_sec instructions.
 */
#include "machine/vm_priv.h"

enum {
    CREDIT_NS = 10000000,
    NAP_NS = 200000, /* shorter rests are saved up */
    SLICES_PER_SEC = 1000,
};

/* One word, so that any thread can set both: the percentage above the rate. */
static u64 pack(const struct vm_speed *s)
{
    return (u64)s->percent << 56 | s->insns_per_sec;
}

static struct vm_speed unpack(u64 v)
{
    return (struct vm_speed){.insns_per_sec = v & (BIT64(56) - 1), .percent = (u32)(v >> 56)};
}

enum status speed_check(const struct vm_config *c, struct error *err)
{
    const struct vm_speed *s = &c->speed;
    if (s->insns_per_sec && (s->insns_per_sec < VM_SPEED_MIN || s->insns_per_sec > VM_SPEED_MAX))
        return fail(err, ST_RANGE, "a speed is 0.01 to 100000 million instructions a second");
    if (s->percent > 100)
        return fail(err, ST_RANGE, "a speed is 1%% to 100%% of the host's");
    if (c->icount && s->percent)
        return fail(err, ST_INVAL, "with icount a speed is a number of instructions a second");
    if (c->icount && s->insns_per_sec && c->icount_shift)
        return fail(err, ST_INVAL, "icount's shift is a speed already");
    return ST_OK;
}

bool vm_set_speed(struct vm *vm, struct vm_speed s)
{
    if (vm->cfg.icount || s.percent > 100 ||
        (s.insns_per_sec && (s.insns_per_sec < VM_SPEED_MIN || s.insns_per_sec > VM_SPEED_MAX)))
        return false;
    atomic_store(&vm->speed.wanted, pack(&s));
    inbox_wake(vm->inbox);
    return true;
}

struct vm_speed vm_speed(const struct vm *vm)
{
    return unpack(atomic_load(&((struct vm *)(uintptr_t)vm)->speed.wanted));
}

void speed_init(struct vm *vm)
{
    atomic_store(&vm->speed.wanted, pack(&vm->cfg.speed));
}

u64 speed_icount_ns(const struct vm *vm, u64 insns)
{
    u64 rate = vm->cfg.speed.insns_per_sec;
    return rate ? muldiv64(insns, NS_PER_SEC, rate) : insns << vm->cfg.icount_shift;
}

u64 speed_icount_insns(const struct vm *vm, u64 ns)
{
    u64 rate = vm->cfg.speed.insns_per_sec;
    if (!ns)
        return 1;
    if (!rate)
        return ((ns - 1) >> vm->cfg.icount_shift) + 1;
    return muldiv64(ns - 1, rate, NS_PER_SEC) + 1;
}

u64 speed_slice(const struct vm *vm, u64 slice)
{
    u64 rate = unpack(atomic_load(&((struct vm *)(uintptr_t)vm)->speed.wanted)).insns_per_sec;
    return rate ? MIN(slice, MAX(rate / SLICES_PER_SEC, 1)) : slice;
}

void speed_spent(struct vm *vm, u64 from_ns, u64 insns)
{
    struct vm_speed s = unpack(atomic_load(&vm->speed.wanted));
    u64 now, cost = 0;
    if (likely(!s.insns_per_sec && !s.percent) || vm->cfg.icount) {
        vm->speed.free_at = 0;
        return;
    }
    now = clock_now(vm->clk);
    if (s.insns_per_sec)
        cost = muldiv64(insns, NS_PER_SEC, s.insns_per_sec);
    if (s.percent)
        cost = MAX(cost, (now - from_ns) * 100 / s.percent);
    u64 oldest = from_ns > CREDIT_NS ? from_ns - CREDIT_NS : 0;
    vm->speed.free_at = MAX(vm->speed.free_at, oldest) + cost;
}

bool speed_rest(struct vm *vm)
{
    u64 now, until = vm->speed.free_at;
    if (likely(!until) || vm->never_wait)
        return false;
    now = clock_now(vm->clk);
    if (until > now + NS_PER_SEC) /* the clock was set back (a saved state) */
        vm->speed.free_at = until = now;
    if (until < now + NAP_NS || !atomic_load(&vm->speed.wanted))
        return false;
    u64 next = clock_next(vm->clk);
    until = MIN(until, next);
    if (until > now)
        inbox_wait(vm->inbox, until - now);
    return true;
}
