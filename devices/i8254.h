/*
 * devices/i8254.h - the PC's programmable interval timer: three counters at 1.193182 MHz.
 *
 * You are here: the board gives it IRQ0; port61 drives the gate of counter 2 and reads its output.
 *
 * Late hosts: guest reads of count and status are always exact. Rising edges of counter 0 that came
 * due while the host was elsewhere are owed, and delivered one at a time, a quarter period apart
 * (but not closer than 10 us), until the guest's tick count has caught up; what is owed beyond one
 * second is forgotten. So a kernel that counts ticks keeps time and never sees a storm.
 */
#ifndef DEVICES_I8254_H
#define DEVICES_I8254_H

#include "bus/clock.h"
#include "bus/device.h"
#include "bus/irq.h"

struct space;

#define I8254_HZ 1193182u

/* Maps ports base..base+3. out0: counter 0's OUT, IRQ0. Gates 0 and 1 are high, gate 2 low. */
struct device *i8254_new(struct space *ports, u16 base, struct irq out0, struct clock *clk);

/* counter: 0..2. The OUT pin now. */
bool i8254_out(struct device *d, int counter);
void i8254_set_gate(struct device *d, int counter, bool level);

/* What counter's output sounds like now: its period in ticks of I8254_HZ when it is a running
 * square wave or rate generator, else 0. For the speaker. */
u32 i8254_period(struct device *d, int counter);

/* ---- for the speaker: counter 2's wave ---- */
/* fn runs before counter 2 becomes another: until `tick` (of I8254_HZ, from time 0) the wave is
 * what i8254_high() says now. One watcher. */
void i8254_watch(struct device *d, void (*fn)(void *ctx, u64 tick), void *ctx);
/* Brings the counters to now, which may call the watcher. */
void i8254_sync(struct device *d);
/* At how many of the n ticks from `tick` on OUT is high, as long as nothing changes. */
u32 i8254_high(const struct device *d, u64 tick, u32 n);

#endif
