; start.asm - the paravirtual demo from its PVH entry point to 64-bit C.
;
; An ELF kernel: the note below says where 32-bit execution begins, in flat protected mode with paging
; off, on every board that boots kernels directly. Page tables are put at 10000h, the stack below
; 80000h; both are RAM on every board. Nothing of a PC is used.

%include "longmode.inc"
%include "trv.inc"

PML4   equ 0x10000
STACK  equ 0x80000

section .note.pvh note alloc noexec nowrite align=4
    dd 4, 4, 18                 ; name and descriptor lengths, XEN_ELFNOTE_PHYS32_ENTRY
    db "Xen", 0
    dd entry

section .text.entry progbits alloc exec nowrite align=16
bits 32
global entry
entry:
    cli
    cld
    lgdt [gdtr]
    mov esp, STACK
    enter_long_mode PML4, 0x18, long_mode

bits 64
extern guest_main
long_mode:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, STACK
    call guest_main
.halt:
    hlt
    jmp .halt

; u32 raw_call(u32 nr, u32 b, u32 c, u32 d): any call, by the assembly stub.
global raw_call
trv_stub64 raw_call

section .data
align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff   ; 08: code, 32-bit
        dq 0x00cf93000000ffff   ; 10: data
        dq 0x00af9b000000ffff   ; 18: code, 64-bit
gdtr:   dw gdtr - gdt - 1
        dd gdt
