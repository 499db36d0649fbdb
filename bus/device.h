/*
 * bus/device.h - what a device is: a few callbacks, its wires, and a description of its state.
 *
 * You are here: devices/ and pv/ implement this; bus/space.h calls it. A chip is a struct whose
 * first member is `struct device dev`, made by a constructor that takes its wires (spaces, irq
 * lines, clock, backends). Nothing registers itself.
 *
 * Thread: everything runs on the VM's thread. Devices use no floating point (the guest's MXCSR is
 * loaded while guest code runs) and keep no static mutable state.
 */
#ifndef BUS_DEVICE_H
#define BUS_DEVICE_H

#include "base/types.h"

struct device;
struct field;
struct ram;

struct device_ops {
    const char *name; /* the chip's, lower case: "i8254" */

    /* Power-on and hardware reset: registers to their documented reset values. Wires stay. */
    void (*reset)(struct device *d);

    /* Guest access: `off` is the offset in `region` (numbers are the device's own), size 1, 2, 4 or
     * 8 and never more than the max_size the region was mapped with. Reads return the value in the
     * low bits; the rest is ignored. Any value of off inside the mapping may come. */
    u64 (*read)(struct device *d, int region, u64 off, int size);
    void (*write)(struct device *d, int region, u64 off, u64 val, int size);

    /* As read without side effects, for debuggers and `info`. NULL: not peekable (reads as 0). */
    u64 (*peek)(struct device *d, int region, u64 off, int size);

    /* Fields that save, restore, migration and `info` use; ends with FIELD_END. May be NULL. */
    const struct field *state;

    /* Waits for what another thread does for the device, and takes its result: called before fields
     * or memories are read or written from outside. NULL: nothing is done elsewhere. */
    void (*quiesce)(struct device *d);

    /* After a restore, when the fields of all devices and of the CPU are there and lines are at the
     * levels they had: check and repair what the fields say (they are hostile), recompute caches,
     * re-arm timers, drive irq lines. Returns false to refuse the state. May be NULL. */
    bool (*loaded)(struct device *d);

    /* Memory of the device's own that is state too: whole 4 KiB pages, fixed size. NULL: none. */
    struct ram *(*memory)(struct device *d);

    u32 state_version; /* of `state`: counts up when a field's meaning changes */

    /* Frees the device and disarms its timers. Its mappings are already gone. */
    void (*destroy)(struct device *d);
};

struct device {
    const struct device_ops *ops;
};

/* One saved field. Arrays have count > 1. Offsets are from the `struct device`. */
enum field_type { FIELD_UINT, FIELD_BOOL, FIELD_BYTES, FIELD_TIMER };
struct field {
    const char *name;
    u32 offset;
    u32 size;  /* bytes of one element: 1, 2, 4, 8 for FIELD_UINT */
    u32 count; /* elements */
    enum field_type type;
};

#define FIELD_SIZE_(type, m) sizeof(((type *)0)->m)
/* An unsigned or signed integer or enum member. */
#define FIELD_U(type, m)                                                                           \
    {                                                                                              \
#m, offsetof(type, m), FIELD_SIZE_(type, m), 1, FIELD_UINT                                 \
    }
/* A one-dimensional array of integers. */
#define FIELD_A(type, m)                                                                           \
    {                                                                                              \
#m, offsetof(type, m), FIELD_SIZE_(type, m[0]),                                            \
            FIELD_SIZE_(type, m) / FIELD_SIZE_(type, m[0]), FIELD_UINT                             \
    }
#define FIELD_B(type, m)                                                                           \
    {                                                                                              \
#m, offsetof(type, m), sizeof(bool), 1, FIELD_BOOL                                         \
    }
#define FIELD_BUF(type, m)                                                                         \
    {                                                                                              \
#m, offsetof(type, m), FIELD_SIZE_(type, m), 1, FIELD_BYTES                                \
    }
/* A struct timer: saves whether it is armed, its deadline and its place among equal ones. It is
 * armed again before `loaded` is called. */
#define FIELD_T(type, m)                                                                           \
    {                                                                                              \
#m, offsetof(type, m), FIELD_SIZE_(type, m), 1, FIELD_TIMER                                \
    }
#define FIELD_END                                                                                  \
    {                                                                                              \
        NULL, 0, 0, 0, FIELD_UINT                                                                  \
    }

static inline void device_reset(struct device *d)
{
    if (d && d->ops->reset)
        d->ops->reset(d);
}

static inline void device_destroy(struct device *d)
{
    if (d && d->ops->destroy)
        d->ops->destroy(d);
}

#endif
