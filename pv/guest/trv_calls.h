/*
 * pv/guest/trv_calls.h - the calls of trv.h as C functions, for freestanding guests.
 *
 * You are here: gcc or clang, 32 or 64 bits, ring 0. Each function is one hypercall; what it
 * returns is EAX, which trv_failed() judges. Buffers are given by address; a guest with paging
 * gives physical ones.
 */
#ifndef PV_GUEST_TRV_CALLS_H
#define PV_GUEST_TRV_CALLS_H

#include "pv/guest/trv.h"

struct trv_regs {
    unsigned int a, b, c, d;
};

static inline void trv_call(struct trv_regs *r)
{
    __asm__ volatile(".byte 0x0f, 0x01, 0xd9" /* vmmcall */
                     : "+a"(r->a), "+b"(r->b), "+c"(r->c), "+d"(r->d)
                     :
                     : "memory");
}

static inline int trv_failed(unsigned int result)
{
    return result >= TRV_E_FIRST;
}

static inline unsigned int trv_call3(unsigned int nr, unsigned long b, unsigned long c,
                                     unsigned int d)
{
    struct trv_regs r = {nr, (unsigned int)b, (unsigned int)c, d};
    trv_call(&r);
    return r.a;
}

/* Whether the interface is there; asks CPUID and raises nothing. */
static inline int trv_present(void)
{
    unsigned int a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c >> 31))
        return 0;
    a = TRV_CPUID_LEAF;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return b == TRV_SIGNATURE_EBX && c == TRV_SIGNATURE_ECX && d == TRV_SIGNATURE_EDX;
}

static inline unsigned int trv_identify(struct trv_regs *r)
{
    *r = (struct trv_regs){TRV_IDENTIFY, 0, 0, 0};
    trv_call(r);
    return r->a;
}

static inline unsigned int trv_console_write(const void *text, unsigned int bytes)
{
    return trv_call3(TRV_CONSOLE_WRITE, (unsigned long)text, bytes, 0);
}

static inline unsigned int trv_clock_read(struct trv_clock *out)
{
    return trv_call3(TRV_CLOCK_READ, (unsigned long)out, 0, 0);
}

/* ns as trv_clock_read gives it; 0 disarms. */
static inline unsigned int trv_timer_arm(unsigned long long ns, unsigned int vector)
{
    return trv_call3(TRV_TIMER_ARM, (unsigned int)ns, (unsigned int)(ns >> 32), vector);
}

static inline unsigned int trv_yield(void)
{
    return trv_call3(TRV_YIELD, 0, 0, 0);
}

/* Called with interrupts off, returns so: lets them in while it sleeps, and none is missed, because
 * STI takes effect after the instruction behind it, as before HLT. */
static inline unsigned int trv_halt(void)
{
    unsigned int a = TRV_HALT;
    __asm__ volatile("sti\n\t.byte 0x0f, 0x01, 0xd9\n\tcli" : "+a"(a) : : "memory");
    return a;
}

static inline unsigned int trv_block_info(unsigned int disk, struct trv_block_info *out)
{
    return trv_call3(TRV_BLOCK_INFO, disk, (unsigned long)out, 0);
}

static inline unsigned int trv_block_read(unsigned int disk, const struct trv_block_request *r)
{
    return trv_call3(TRV_BLOCK_READ, disk, (unsigned long)r, 0);
}

static inline unsigned int trv_block_write(unsigned int disk, const struct trv_block_request *r)
{
    return trv_call3(TRV_BLOCK_WRITE, disk, (unsigned long)r, 0);
}

static inline unsigned int trv_block_flush(unsigned int disk)
{
    return trv_call3(TRV_BLOCK_FLUSH, disk, 0, 0);
}

static inline unsigned int trv_mmu_update(const struct trv_mmu_entry *e, unsigned int n)
{
    return trv_call3(TRV_MMU_UPDATE, (unsigned long)e, n, 0);
}

static inline unsigned int trv_event_bind(unsigned int channel, unsigned int vector)
{
    return trv_call3(TRV_EVENT_BIND, channel, vector, 0);
}

static inline unsigned int trv_event_notify(unsigned int channel)
{
    return trv_call3(TRV_EVENT_NOTIFY, channel, 0, 0);
}

/* The channels that were pending. */
static inline unsigned int trv_event_take(void)
{
    struct trv_regs r = {TRV_EVENT_TAKE, 0, 0, 0};
    trv_call(&r);
    return r.b;
}

static inline unsigned int trv_stats(struct trv_stats *out, unsigned int bytes)
{
    return trv_call3(TRV_STATS, (unsigned long)out, bytes, 0);
}

#endif
