/*
 * machine/vm.h - the whole machine behind one small API: what front ends (and libtrivisor users)
 * see.
 *
 * You are here: frontends/ include this, base/ and bus/backend.h, and nothing else of ours.
 * A `struct vm` owns everything; several may live in one process, each on its own thread.
 */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

#include "base/status.h"
#include "base/types.h"
#include "bus/backend.h"
#include "machine/sound.h"
#include "machine/virtio.h"

enum { VM_MAX_IDE = 4, VM_MAX_FLOPPY = 2, VM_MAX_PV_DISKS = 2, VM_MAX_SERIAL = 4, VM_MAX_NIC = 4 };

enum vm_boot { VM_BOOT_DISK = 'c', VM_BOOT_CDROM = 'd', VM_BOOT_FLOPPY = 'a', VM_BOOT_NET = 'n' };

enum vm_nic_model { VM_NIC_NONE, VM_NIC_E1000, VM_NIC_VIRTIO };

struct vm_nic {
    enum vm_nic_model model;
    u8 mac[6];
    struct netdev *net; /* borrowed until vm_free; NULL: a card without a cable */
};

struct vm_drive {
    struct block *block; /* owned by the VM once vm_new succeeded; NULL: none (empty if cdrom) */
    bool cdrom;
};

/* A program alone in memory: RAM from address 0 and no devices but the debug-exit port. HLT ends
 * vm_run with VM_STOP_POWEROFF. */
struct vm_bare {
    const u8 *image; /* borrowed until vm_free */
    u64 size;
    bool elf;    /* a static ELF program for 32 or 64 bits; else flat, put at org */
    u64 org;     /* flat: physical address */
    u64 entry;   /* RIP (16 bits: org, or an offset in its segment); elf: 0, the file's */
    int bits;    /* flat: 16 real mode, 32 protected mode, 64 long mode */
    u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8.. */
    u16 gpr_set; /* which of them are given, bit n: gpr[n] */
};

/* How fast the guest's CPU may be, for software that expects a slow one; both given: the slower. */
#define VM_SPEED_MIN 10000ull
#define VM_SPEED_MAX 100000000000ull
struct vm_speed {
    u64 insns_per_sec; /* VM_SPEED_MIN..VM_SPEED_MAX; 0: no limit */
    u32 percent;       /* of the time that the host would give it, 1..100; 0: no limit */
};

struct vm_config {
    const char *machine;   /* of vm_machines(); NULL: "pc" */
    const char *engine;    /* of vm_engines(), ",key=value" may follow (machine/views.h); NULL: the
                              first of them */
    const char *pv;        /* what the guest is told it runs on, of vm_personalities(); NULL: "kvm",
                              with a flat_path "trv", bare "none" */
    const char *cpu;       /* model name, NULL: "host" */
    u64 ram_size;          /* bytes; 1 MiB .. 64 GiB, multiple of 4 KiB */
    const char *bios_path; /* system firmware image, NULL: SeaBIOS where Debian puts it */
    const char *vgabios_path; /* NULL: SeaBIOS's stdvga; "" for none */
    const char *kernel_path;  /* direct boot: bzImage, ELF with PVH note, Multiboot;
                                or NULL */
    const char *initrd_path;  /* Multiboot: modules, "FILE ARGUMENTS,FILE ..." */
    const char *append;
    const char *flat_path; /* ROM image put at the top of 4 GiB, run from the reset vector as the
                              only firmware (roms/demo); NULL: none */
    struct vm_drive ide[VM_MAX_IDE]; /* primary master, primary slave, secondary master, slave */
    struct block *floppy[VM_MAX_FLOPPY];
    struct block *pv_disk[VM_MAX_PV_DISKS]; /* by hypercalls of personality trv; as ide */
    struct vm_virtio virtio;
    struct vm_nic nic[VM_MAX_NIC];
    struct vm_sound sound;
    struct audio_sink *audio; /* borrowed until vm_free; NULL: nobody listens */
    char boot_order[8];       /* letters of enum vm_boot, first first; "" = "cda" */
    struct chardev *serial[VM_MAX_SERIAL];
    struct chardev *debugcon; /* port 0x402 (Bochs, SeaBIOS) and 0xe9 */
    bool icount;              /* virtual time follows executed instructions: deterministic */
    u32 icount_shift;         /* one instruction takes 2^shift ns */
    struct vm_speed speed;    /* icount: virtual time follows insns_per_sec, with icount_shift 0 */
    i64 rtc_base_ns;          /* wall time at start, ns since 1970 UTC; <0: the host's now; icount:
                                 2000-01-01 */
    bool any_engine;          /* hypercalls name the interpreter whatever runs: lockstep */
    bool headless;            /* nobody sees the screen: firmware and its INT 10h users are shown
                                 on serial port 0, whose input is a keyboard to them */
    bool no_reboot;           /* a guest reset ends vm_run with VM_STOP_RESET */
    const struct vm_bare *bare; /* in the place of a whole machine; NULL: none */
};

enum vm_stop {
    VM_STOP_POWEROFF,     /* ACPI power-off */
    VM_STOP_RESET,        /* reset asked for and no_reboot was set */
    VM_STOP_TRIPLE_FAULT, /* triple fault and no_reboot was set */
    VM_STOP_REQUEST,      /* vm_stop() */
    VM_STOP_EXIT,  /* the guest ended the VM through the debug-exit port; code in vm_exit_code */
    VM_STOP_DEBUG, /* a debugger's business: machine/debug.h */
    VM_STOP_ERROR, /* host trouble; message in err */
};

struct vm;

/* Fills c with defaults (128 MiB, pc, host CPU). */
void vm_config_init(struct vm_config *c);

/* Builds the machine. On failure nothing is owned by the VM and err has one line. */
enum status vm_new(const struct vm_config *c, struct vm **out, struct error *err);
void vm_free(struct vm *vm);

/* Runs until something stops it; may be called again after VM_STOP_REQUEST. VM's thread. */
enum vm_stop vm_run(struct vm *vm, struct error *err);
int vm_exit_code(const struct vm *vm);
/* After vm_run returned: the guest's time stands still until the next vm_run. VM's thread. */
void vm_pause_time(struct vm *vm);

/* After vm_run returned: does what is posted, waiting for it at most ns. VM's thread. */
void vm_attend(struct vm *vm, u64 ns);

/* Any thread, also signal handlers. */
void vm_stop(struct vm *vm);
/* Any thread: as the power button (ACPI) and the reset button. */
void vm_power_button(struct vm *vm);
void vm_reset_button(struct vm *vm);

/* Another speed from now on. Any thread. False: out of range, or with icount, where it is fixed
 * when the machine is made. */
bool vm_set_speed(struct vm *vm, struct vm_speed s);
struct vm_speed vm_speed(const struct vm *vm); /* any thread */

/* Input of a host thread, delivered on the VM's thread in order. */
bool vm_post(struct vm *vm, void (*fn)(void *ctx, const void *data, u32 len), void *ctx,
             const void *data, u32 len);
/* Calls fn once when the guest's time (vm_stats.run_ns) is ns or later, unless the machine is freed
 * before. With icount always between the same two instructions. VM's thread. False: no memory. */
bool vm_call_at(struct vm *vm, u64 ns, void (*fn)(void *ctx), void *ctx);
struct input_sink *vm_input(struct vm *vm); /* VM's thread only (use vm_post) */
struct screen *vm_screen(struct vm *vm);    /* VM's thread only; NULL: it has no display */

struct vm_stats {
    u64 insns;       /* guest instructions executed */
    u64 run_ns;      /* virtual time */
    u64 halted_ns;   /* of it, asleep in HLT */
    u64 io_accesses; /* port and MMIO accesses */
    u64 interrupts;  /* delivered to the guest */
    u64 exceptions;
    u64 hypercalls;
    u64 tlb_misses;
    u64 blocks_decoded;
    u64 block_invalidations;
};
void vm_stats(const struct vm *vm, struct vm_stats *out);

/* Guest-physical memory as devices see it, for loaders, tests and debuggers. VM's thread. */
void vm_read_phys(struct vm *vm, gpa addr, void *buf, u64 len);
void vm_write_phys(struct vm *vm, gpa addr, const void *buf, u64 len);

/* A text dump of the first vCPU's registers (as on a crash). Returns bytes that were needed. */
size_t vm_dump_cpu(const struct vm *vm, char *buf, size_t size);

/* NULL-terminated lists for help texts. */
const char *const *vm_cpu_models(void);
/* "interp"; "generic": the C function of each instruction instead of the fast handlers, in the same
 * blocks; "interp-stress": interp with blocks of one instruction. */
const char *const *vm_engines(void);
/* "pc": an i440FX PC; "microvm": no legacy, virtio, boots a kernel only. */
const char *const *vm_machines(void);
/* "none": bare hardware; "kvm": Linux's KVM (docs/pv-kvm.md); "trv": ours (docs/pv-abi.md). */
const char *const *vm_personalities(void);

#endif
