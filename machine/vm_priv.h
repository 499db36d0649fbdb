/*
 * machine/vm_priv.h - the VM as machine/ sees it inside: what owns what.
 *
 * You are here: private to machine/. vm.c runs it, pc.c builds the board, loader_*.c put a kernel
 * into memory.
 */
#ifndef MACHINE_VM_PRIV_H
#define MACHINE_VM_PRIV_H

#include "bus/clock.h"
#include "bus/inbox.h"
#include "bus/irq.h"
#include "bus/ram.h"
#include "bus/space.h"
#include "cpu/cpu.h"
#include "machine/debug.h"
#include "machine/vm.h"

#include <stdatomic.h>

enum { VM_MAX_DEVICES = 96 };

struct acpi_blob;
struct virtio_dev;

/* What a device or the CPU asked for; looked at between slices. */
enum vm_event {
    EV_RESET = 1,
    EV_POWEROFF = 2,
    EV_EXIT = 4,
    EV_TRIPLE = 8,
    EV_POWER_BUTTON = 16, /* from other threads, by the inbox */
};

struct vm {
    struct vm_config cfg; /* strings are copies */
    struct cpu *cpu;
    struct ram *ram;
    struct space *mem, *ports;
    struct clock *clk;
    struct inbox *inbox;
    struct device *devices[VM_MAX_DEVICES]; /* in order of creation; reset in it, freed backwards */
    int n_devices;

    u64 low_ram, high_ram; /* bytes below the hole under 4 GiB, and from 4 GiB up */
    u8 *bios, *vgabios;    /* firmware images, page-multiple sizes */
    u64 bios_size, vgabios_size;

    /* chips the board talks to by name */
    struct device *pic, *pit, *rtc, *i8042, *port92, *ioapic, *fw_cfg, *vga, *pci, *pm, *fdc, *ide,
        *hpet, *mixer, *dma;
    /* The board's: its ACPI tables, pointers not yet placed; and what firmware would have done when
     * a kernel is booted directly, after each reset. */
    void (*build_acpi)(const struct vm *vm, struct acpi_blob *blob);
    void (*before_kernel)(struct vm *vm);
    u32 virtio_slots; /* microvm.c */
    /* The board's: a transport for a virtio device; NULL: it has none. */
    struct device *(*place_virtio)(struct vm *vm, struct virtio_dev *v);
    bool hpet_legacy;  /* the HPET drives IRQ 0 and 8 */
    bool restoring;    /* levels are as saved: wires do not carry what chips say meanwhile */
    u8 irq_levels[24]; /* of each interrupt line: who drives it high, a bit each (the boards) */
    struct input_sink *input;
    struct virtio_dev *balloon, *keyboard, *tablet; /* NULL: none */
    struct input_sink *board_input, virtio_input; /* with the last two: what `input` was, and is */
    struct screen *screen;

    struct device *kvm_pv, *trv_pv; /* the personality, or NULL */

    u64 acpi_rsdp; /* where the board put the RSDP for direct boots, 0: nowhere */
    u32 events;
    int exit_code;
    volatile int stop_wanted;
    struct {
        volatile int wanted; /* stop for the debugger */
        bool step;           /* one instruction only */
        bool paused;         /* the clock stands */
        struct vm_debug_stop stop;
    } debug; /* debug.c */
    u64 halted_ns;
    struct {
        _Atomic u64 wanted; /* struct vm_speed, packed */
        u64 free_at;        /* when the CPU has paid for what it did; 0: no limit */
    } speed;                /* speed.c */
    u64 insns_per_us;       /* estimate of the CPU's speed, for slice lengths */

    struct alarm *alarms;        /* alarm.c */
    struct trace *trace;         /* NULL: nobody follows (machine/trace.c) */
    u64 stop_at;                 /* vm_stop_at; 0: never */
    struct ledger ledger;        /* ledger.c: what exits cost */
    u64 ledger_ns, ledger_ticks; /* the host's clocks when it was begun */
    struct {
        bool on, own_ledger;
        u64 last_ns;  /* the host's clock at the last slice's end */
        u64 doing[3]; /* enum vm_doing */
    } live;           /* live.c */
    bool never_wait;  /* a guest that sleeps for ever ends vm_run (vm_run_insns) */
    u32 block_max;    /* of the engine, for the CPU when no tracer has other wishes */
    struct {
        const char *engine; /* NULL: cfg's */
        char *own;          /* the same when it is a copy to free */
        volatile int toggle_wanted;
        bool watching;
        u64 watch;
        struct vm_block_mark *marks; /* of the block shown last */
    } view;                          /* views.c */
};

void alarms_free(struct vm *vm);

/* ---- speed.c: a slower CPU --------------------------------------------------------------------
 */
enum status speed_check(const struct vm_config *c, struct error *err);
void speed_init(struct vm *vm);
/* Virtual time after so many instructions, and instructions (at least 1) until ns have passed. */
u64 speed_icount_ns(const struct vm *vm, u64 insns);
u64 speed_icount_insns(const struct vm *vm, u64 ns);
/* A slice's length, cut short where the CPU is slow. */
u64 speed_slice(const struct vm *vm, u64 slice);
/* A slice of insns instructions that began at from_ns is over. */
void speed_spent(struct vm *vm, u64 from_ns, u64 insns);
/* True: the CPU had to rest, until then or until something happened; look at timers and input. */
bool speed_rest(struct vm *vm);

/* Adds a device to the VM's list; it owns it from now on. Returns d. */
struct device *vm_add(struct vm *vm, struct device *d);
/* Frees what tracing needs. */
void trace_free(struct vm *vm);
/* The instruction about to run, inside a tracer's `enter`; NULL outside. */
const struct insn *trace_insn(const struct vm *vm);
/* Requests an event and ends the running slice. VM's thread. */
void vm_event(struct vm *vm, u32 ev);

/* CPU and devices as after switching on; loads a kernel that is booted directly. */
enum status vm_power_on(struct vm *vm, struct error *err);

/* The engine is another: what tracing asked of the old one. */
void trace_engine_changed(struct vm *vm);
/* live.c: a slice has ended, or a sleep. While live.on. */
void live_slice(struct vm *vm, bool slept);
/* views.c: vm_engine_toggle was called; vm_free. */
void views_toggle(struct vm *vm);
void views_free(struct vm *vm);

/* ---- the debugger: debug.c ---------------------------------------------------------------------
 */
/* vm_run is about to return VM_STOP_DEBUG; BREAK stands for WATCH too. */
enum vm_stop debug_stop(struct vm *vm, enum vm_debug_why why);
void debug_resume(struct vm *vm);
/* *done: the step was made; else the CPU sleeps on. */
enum cpu_exit debug_step(struct vm *vm, bool *done);

/* ---- the personality: pv.c ---------------------------------------------------------------------
 */
enum status pv_check(const struct vm_config *c, struct error *err);
/* Before the board: the CPU has its features and no device exists. */
void pv_attach(struct vm *vm);
/* Around the CPU's work, by the run loop. */
void pv_enter(struct vm *vm);
void pv_sleep(struct vm *vm);

/* ---- board: pc.c -------------------------------------------------------------------------------
 */
enum status pc_new(struct vm *vm, struct error *err);
/* Disks into their drives: the last step of making a VM, takes the blocks over. */
enum status pc_attach_drives(struct vm *vm, struct error *err);
/* The display adapter with its BIOS: pc_video.c. */
enum status pc_add_vga(struct vm *vm, struct error *err);
/* What firmware asks fw_cfg for: pc_firmware.c. After the board is complete. */
void pc_fill_fw_cfg(struct vm *vm);

/* ---- board: microvm.c --------------------------------------------------------------------------
 */
enum status microvm_new(struct vm *vm, struct error *err);

/* ---- what boards share: board.c ----------------------------------------------------------------
 */
/* Wires: their context is the VM. */
void board_reset_wire(void *ctx, int n, bool level);
void board_power_off(void *ctx);
void board_guest_exit(void *ctx, int code);
void board_msi(void *ctx, u64 addr, u32 data);
void board_add_ioapic(struct vm *vm);
/* vm->build_acpi's tables to where a BIOS would have them: in the F segment. */
void board_place_acpi(struct vm *vm);

/* The lowest slot that is free, as a devfn. */
int pc_free_slot(const struct vm *vm);
/* A pc without firmware: the ISA interrupt of PCI router input n, and what pc_resources.c sets up.
 */
#define PC_PIRQ_LINE(n) ((n) < 2 ? 10u : 11u)
void pc_assign_resources(struct vm *vm);
void pc_setup_pics(struct vm *vm);

/* ---- network cards: net.c ----------------------------------------------------------------------
 */
enum status net_add_cards(struct vm *vm, struct error *err);

/* ---- sound: sound.c -----------------------------------------------------------------------------
 */
void sound_config_init(struct vm_sound *s);
enum status sound_add_cards(struct vm *vm, struct error *err);
/* ISA interrupt n as sound cards drive it: pc.c. */
struct irq pc_sound_irq(struct vm *vm, int n);

/* ---- virtio devices: virtio.c ------------------------------------------------------------------
 */
/* Adds a device, which the VM owns from now on, and its transport. The board must have a place. */
void vm_place_virtio(struct vm *vm, struct virtio_dev *v);
/* All of the configuration but the disks. */
enum status virtio_add_devices(struct vm *vm, struct error *err);
/* Takes their images over; after everything that can fail. */
void virtio_add_disks(struct vm *vm);

/* ---- no board: bare.c --------------------------------------------------------------------------
 */
enum status bare_new(struct vm *vm, struct error *err);
enum status bare_power_on(struct vm *vm, struct error *err);

/* ---- loaders: called at power-on and after every reset
 * ------------------------------------------- */
/* A file's whole contents, malloc'd; at most max bytes. */
enum status load_file(const char *path, u64 max, u8 **data, u64 *size, struct error *err);
/* Linux boot protocol (bzImage); sets memory and CPU state. */
enum status load_linux(struct vm *vm, struct error *err);
bool is_bzimage(const u8 *data, u64 size);
/* ELF with a PVH entry note. */
enum status load_pvh(struct vm *vm, const u8 *data, u64 size, struct error *err);
bool is_elf(const u8 *data, u64 size);
/* A header of the Multiboot specification, version 1, is in the file. */
enum status load_multiboot(struct vm *vm, const u8 *data, u64 size, struct error *err);
bool is_multiboot(const u8 *data, u64 size);
/* Program header k of an ELF file of at least 64 bytes, whose contents lie inside the file. */
struct elf_segment {
    u32 type;
    u64 off, vaddr, paddr, filesz, memsz;
};
bool elf_segment(const u8 *data, u64 size, int k, struct elf_segment *p);
/* Flat 32-bit protected mode at entry: CS 10h, data 18h, interrupts off, a GDT at gdt_at. */
void enter_flat32(struct vm *vm, u32 entry, u32 gdt_at);

/* The guest's memory map (type 1 usable, 2 reserved), for e820 and firmware. */
struct mem_range {
    u64 addr, size;
    u32 type;
};
int vm_memory_map(const struct vm *vm, struct mem_range *out, int max);

#endif
