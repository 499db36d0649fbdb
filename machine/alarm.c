/*
 * machine/alarm.c - calls at a time of the guest's, for front ends.
 */
#include "machine/vm_priv.h"

#include <stdlib.h>

struct alarm {
    struct alarm *next;
    struct timer timer;
    struct vm *vm;
    void (*fn)(void *ctx);
    void *ctx;
};

static void ring(void *ctx)
{
    struct alarm *a = ctx;
    struct alarm **p = &a->vm->alarms;
    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
    a->fn(a->ctx);
    free(a);
}

bool vm_call_at(struct vm *vm, u64 ns, void (*fn)(void *ctx), void *ctx)
{
    struct alarm *a = calloc(1, sizeof(*a));
    if (!a)
        return false;
    *a = (struct alarm){.next = vm->alarms, .vm = vm, .fn = fn, .ctx = ctx};
    vm->alarms = a;
    timer_init(&a->timer, vm->clk, ring, a);
    timer_arm(&a->timer, ns);
    return true;
}

void alarms_free(struct vm *vm)
{
    while (vm->alarms) {
        struct alarm *a = vm->alarms;
        vm->alarms = a->next;
        timer_disarm(&a->timer);
        free(a);
    }
}
