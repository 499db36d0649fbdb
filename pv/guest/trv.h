/*
 * pv/guest/trv.h - our own hypercall ABI as a guest sees it: numbers only, for assembly-minded C.
 *
 * You are here: guests (roms/) and the host side (pv/) include this; it needs nothing else.
 * The description is docs/pv-abi.md. The ABI is present when CPUID leaf TRV_CPUID_LEAF returns
 * the signature. A call is VMMCALL or VMCALL with the number in EAX; results come in registers;
 * where nobody answers, the instruction raises #UD.
 */
#ifndef PV_GUEST_TRV_H
#define PV_GUEST_TRV_H

/* CPUID: EAX = highest leaf of the range, EBX ECX EDX = "TRIVISOR TRV". */
#define TRV_CPUID_LEAF    0x40000000u
#define TRV_SIGNATURE_EBX 0x56495254u /* "TRIV" */
#define TRV_SIGNATURE_ECX 0x524f5349u /* "ISOR" */
#define TRV_SIGNATURE_EDX 0x56525420u /* " TRV" */

/* Call numbers (EAX). */
#define TRV_IDENTIFY 0u /* out: EAX = TRV_ABI_VERSION, EBX = engine, ECX = personality, EDX = 0 */

#define TRV_ABI_VERSION 1u
#define TRV_UNKNOWN     0xffffffffu /* in EAX: no such call */

/* TRV_IDENTIFY, EBX: what runs the instructions. */
#define TRV_ENGINE_INTERP 1u
#define TRV_ENGINE_BT     2u
#define TRV_ENGINE_KVM    3u

/* TRV_IDENTIFY, ECX: what the guest is told it runs on. */
#define TRV_PERSONALITY_BARE 0u
#define TRV_PERSONALITY_TRV  1u
#define TRV_PERSONALITY_KVM  2u
#define TRV_PERSONALITY_XEN  3u

#endif
