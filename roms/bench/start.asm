; start.asm - the benchmark guest from the reset vector to 64-bit C, by the shortest way.
;
; A 64 KiB ROM image at the top of 4 GiB, as roms/demo is, without its explanations: no screen, no
; 16-bit work. Invariant: nothing here is timed.

ROM    equ 0xffff0000
PML4   equ 0x10000
STACK  equ 0x80000
MAIN   equ 0x100000

%include "longmode.inc"

section .text start=0 vstart=0   ; offsets in the ROM; flat code adds ROM
bits 16
entry:
    cli
    cld
    o32 lgdt [cs:gdtr]
    mov eax, cr0
    and eax, 0x9fffffff
    or al, 1
    mov cr0, eax
    jmp dword 8:ROM + protected

align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff   ; 08: code, 32-bit
        dq 0x00cf93000000ffff   ; 10: data
        dq 0x00af9b000000ffff   ; 18: code, 64-bit
gdtr:   dw gdtr - gdt - 1
        dd ROM + gdt

bits 32
protected:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, STACK
    in al, 0x92                 ; A20
    or al, 2
    and al, 0xfe
    out 0x92, al
    mov word [0x6f00], 0        ; the console's cursor
    mov esi, ROM
    add esi, section..main.start
    mov edi, MAIN
    mov ecx, (main_end - main + 3) / 4
    rep movsd
    mov esi, ROM + uart
    mov ecx, 6
.uart:
    movzx edx, byte [esi]
    add edx, 0x300
    mov al, [esi + 1]
    out dx, al
    add esi, 2
    loop .uart
    enter_long_mode PML4, 0x18, ROM + long_mode

uart:   db 0xf9, 0x00, 0xfb, 0x80, 0xf8, 0x01, 0xf9, 0x00, 0xfb, 0x03, 0xfc, 0x03 ; 115200 8N1

bits 64
long_mode:
    mov esp, STACK
    mov eax, MAIN
    jmp rax

section .main follows=.text align=16 vstart=MAIN
main:
    incbin "main.bin"
    align 4, db 0
main_end:

section .reset start=0xfff0 vstart=0xfff0
bits 16
    jmp near entry
    times 16 - ($ - $$) db 0
