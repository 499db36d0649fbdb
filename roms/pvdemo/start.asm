; start.asm - the paravirtual demo from its PVH entry point to 64-bit C.
;
; Page tables are put at 10000h, the stack below 80000h; both are RAM on every board. Nothing of a PC
; is used.

%include "pvh.inc"
%include "trv.inc"

pvh_start 0x10000, 0x80000

; u32 raw_call(u32 nr, u32 b, u32 c, u32 d): any call, by the assembly stub.
global raw_call
trv_stub64 raw_call

section .data
align 8
gdt:    gdt_flat
gdtr:   dw gdtr - gdt - 1
        dd gdt
