/*
 * pv/guest_ram.h - the one way personalities touch guest memory: checked copies to and from RAM.
 *
 * You are here: every guest pointer of a hypercall, an MSR or a shared page goes through these.
 * Addresses are guest-physical and hostile. Only plain RAM counts: a range that touches a device, a
 * ROM or nothing is refused as a whole, before a byte is moved. Thread: the VM's.
 */
#ifndef PV_GUEST_RAM_H
#define PV_GUEST_RAM_H

#include "bus/space.h"

/* Whether [at, at + n) is RAM throughout. n == 0: true. */
bool guest_ram_ok(struct space *mem, gpa at, u64 n);
/* false: not RAM throughout; nothing was copied. */
bool guest_ram_read(struct space *mem, gpa at, void *to, u64 n);
bool guest_ram_write(struct space *mem, gpa at, const void *from, u64 n);

#endif
