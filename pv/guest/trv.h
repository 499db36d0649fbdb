/*
 * pv/guest/trv.h - our own hypercall ABI as both sides see it: numbers and layouts only.
 *
 * You are here: guests (roms/) and the host side (pv/) include this; it needs nothing else.
 * The description is docs/pv-abi.md; C functions for guests are in trv_calls.h, NASM ones in
 * trv.inc. The ABI is present when CPUID leaf TRV_CPUID_LEAF returns the signature. A call is
 * VMMCALL or VMCALL with the number in EAX; where nobody answers, the instruction raises #UD.
 */
#ifndef PV_GUEST_TRV_H
#define PV_GUEST_TRV_H

/* CPUID: EAX = highest leaf of the range, EBX ECX EDX = "TRIVISOR TRV". */
#define TRV_CPUID_LEAF    0x40000000u
#define TRV_SIGNATURE_EBX 0x56495254u /* "TRIV" */
#define TRV_SIGNATURE_ECX 0x524f5349u /* "ISOR" */
#define TRV_SIGNATURE_EDX 0x56525420u /* " TRV" */

/* Version 2 is version 1 and the calls from TRV_CONSOLE_WRITE on. */
#define TRV_ABI_VERSION 2u

/* Call numbers (EAX). Arguments in EBX, ECX, EDX. The result is in EAX: 0 or a count, or an error;
 * other results where the comment says. Addresses are guest-physical. */
#define TRV_IDENTIFY      0u  /* EAX = version; EBX = engine, ECX = personality, EDX = calls */
#define TRV_CONSOLE_WRITE 1u  /* EBX address, ECX bytes <= TRV_CONSOLE_MAX: bytes written */
#define TRV_CLOCK_READ    2u  /* EBX address of a struct trv_clock to fill */
#define TRV_TIMER_ARM     3u  /* EBX, ECX low and high half of a deadline; EDX vector */
#define TRV_YIELD         4u  /* others may run: devices, timers */
#define TRV_HALT          5u  /* sleep until an interrupt; at once if an event is pending */
#define TRV_BLOCK_INFO    6u  /* EBX disk, ECX address of a struct trv_block_info to fill */
#define TRV_BLOCK_READ    7u  /* EBX disk, ECX address of a struct trv_block_request: sectors */
#define TRV_BLOCK_WRITE   8u  /* the same */
#define TRV_BLOCK_FLUSH   9u  /* EBX disk: what was written is durable */
#define TRV_MMU_UPDATE    10u /* EBX address of struct trv_mmu_entry, ECX how many: how many */
#define TRV_EVENT_BIND    11u /* EBX channel, ECX vector (0: none) */
#define TRV_EVENT_NOTIFY  12u /* EBX channel: it is pending now */
#define TRV_EVENT_TAKE    13u /* EBX = the channels that were pending, a bit each; now none is */
#define TRV_STATS         14u /* EBX address, ECX bytes: a struct trv_stats, or its beginning */
#define TRV_CALLS         15u

/* Errors, in EAX. A call that fails has changed nothing, but that a failed block read may have
 * changed its buffer and a failed block write the disk. */
#define TRV_UNKNOWN    0xffffffffu /* no such call */
#define TRV_E_RIGHT    0xfffffffeu /* the caller is not in ring 0 */
#define TRV_E_ADDRESS  0xfffffffdu /* an address is not RAM throughout, or not aligned */
#define TRV_E_ARGUMENT 0xfffffffcu /* a number that makes no sense: length, vector, channel */
#define TRV_E_RANGE    0xfffffffbu /* beyond the end of the disk */
#define TRV_E_NONE     0xfffffffau /* this machine has no such device */
#define TRV_E_READONLY 0xfffffff9u /* the disk cannot be written */
#define TRV_E_IO       0xfffffff8u /* the host failed */
#define TRV_E_FIRST    0xfffffff8u /* EAX from here up is an error */

#define TRV_CONSOLE_MAX 4096u
#define TRV_SECTOR      512u
#define TRV_BLOCK_MAX   2048u /* sectors of one request */
#define TRV_MMU_MAX     512u
#define TRV_CHANNELS    32u

/* TRV_IDENTIFY, EBX: what runs the instructions. */
#define TRV_ENGINE_INTERP 1u
#define TRV_ENGINE_BT     2u
#define TRV_ENGINE_KVM    3u

/* TRV_IDENTIFY, ECX: what the guest is told it runs on. */
#define TRV_PERSONALITY_BARE 0u
#define TRV_PERSONALITY_TRV  1u
#define TRV_PERSONALITY_KVM  2u
#define TRV_PERSONALITY_XEN  3u

/* Layouts: little-endian, no padding; the same for 32-bit and 64-bit guests. */
struct trv_clock {
    unsigned long long ns;      /* since the machine was made: what TRV_TIMER_ARM compares with */
    unsigned long long wall_ns; /* since 1970-01-01 UTC */
    unsigned long long tsc;     /* RDTSC at the same moment */
    unsigned long long tsc_hz;
};
struct trv_block_info {
    unsigned long long sectors;
    unsigned int readonly;
    unsigned int max_sectors; /* TRV_BLOCK_MAX */
};
struct trv_block_request {
    unsigned long long sector;
    unsigned long long address; /* of the buffer */
    unsigned int count;         /* sectors */
    unsigned int zero;          /* must be 0 */
};
struct trv_mmu_entry {
    unsigned long long address; /* of a page table entry, a multiple of 8 */
    unsigned long long value;
};
struct trv_stats {
    unsigned long long instructions, ns, interrupts, exceptions, hypercalls, io_accesses;
};

#endif
