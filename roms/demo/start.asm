; start.asm - the demo from the reset vector to its first 64-bit instruction.
;
; A 64 KiB ROM image at the top of 4 GiB, the only firmware there is. It uses no BIOS: it programs
; the UART and the VGA itself. What it is not: a boot loader; it carries its main part (main.c)
; along and copies it to 1 MiB.
;
; Where things live: 0x6F00 words shared with main.c, stack below 0x7000 (in long mode below
; 0x80000), this file's `low` section at 0x8000, page tables at 0x10000..0x15fff, main.c at 1 MiB.
; Manual: Intel SDM vol. 3, 9.1 (state at reset), 9.9 (mode switching), 9.8.5 (IA-32e mode).
; Invariant: one line of report a step, on the screen and on COM1 alike.

COM1        equ 0x3f8
CURSOR      equ 0x6f00          ; u16: cell the next character goes to
INTS        equ 0x6f02          ; u16: software interrupts counted in real mode
DIVS        equ 0x6f04          ; u16: divide errors counted in real mode
STACK       equ 0x7000
STACK64     equ 0x80000
PML4        equ 0x10000
MAIN        equ 0x100000
ROM         equ 0xffff0000

%include "longmode.inc"

; ---- in ROM: CS base is FFFF0000h after reset, so labels are offsets in this segment -----------
section .text start=0 vstart=0
bits 16
entry:
    cli
    cld
    xor ax, ax
    mov es, ax
    mov ss, ax
    mov sp, STACK
    mov si, section..low.start   ; the source segment is CS: nothing else can reach the ROM yet
    mov di, low
    mov cx, low_end - low
    cs rep movsb
    jmp 0:low_entry             ; a far jump: CS base becomes 0 and we are in RAM

; ---- in low RAM: ordinary real mode, segment 0 -------------------------------------------------
section .low follows=.text align=16 vstart=0x8000
low:
low_entry:
    xor ax, ax
    mov ds, ax
    mov [CURSOR], ax
    mov [INTS], ax
    mov [DIVS], ax
    call serial_init
    call vga_init
    mov bl, 0x0f
    mov si, t_title
    call puts
    mov bl, 0x08
    mov si, t_rule
    call puts

    mov si, t_real
    call step
    mov ax, low_end - low
    call putdec
    mov si, t_real2
    call puts

    mov si, t_vga
    call step

; Two interrupts of real mode: one by INT, one by a fault whose handler must move IP itself.
    mov word [0x42 * 4], on_int
    mov word [0x42 * 4 + 2], 0
    mov word [0], on_divide
    mov word [2], 0
    int 0x42
    int 0x42
    int 0x42
    xor cx, cx
    mov ax, 1
    div cx
    mov si, t_int
    call step
    mov ax, [INTS]
    call putdec
    mov si, t_int2
    call puts
    mov ax, [DIVS]
    call putdec
    mov si, t_int3
    call puts

; A20: port 92h bit 1. Open means that 0:500h and FFFFh:510h (1 MiB + 500h) are two places.
    in al, 0x92
    or al, 2
    and al, 0xfe
    out 0x92, al
    mov ax, 0xffff
    mov es, ax
    mov word [0x500], 0x1234
    mov word [es:0x510], 0x5678
    mov si, t_a20
    call step
    mov si, t_a20_open
    cmp word [0x500], 0x1234
    je .open
    mov si, t_a20_shut
.open:
    call puts

; Protected mode.
    lgdt [gdtr]
    mov eax, cr0
    and eax, 0x9fffffff         ; caches on
    or al, 1
    mov cr0, eax
    jmp dword 8:protected

on_int:
    inc word [INTS]
    iret

on_divide:                      ; the fault points at the 2-byte DIV: step over it
    push bp
    mov bp, sp
    add word [bp + 2], 2
    pop bp
    inc word [DIVS]
    iret

; step: SI = text "name\0result\0"; starts a line. Leaves BL = colour of results.
step:
    push si
    mov si, t_ok
    mov bl, 0x0a
    call puts
    pop si
    mov bl, 0x0b
    call puts
    mov bl, 0x07
    jmp puts                    ; SI is past the name's NUL: the result follows

; puts: SI = NUL-terminated text, BL = attribute; returns SI past the NUL.
puts:
    lodsb
    test al, al
    jz .done
    call putc
    jmp puts
.done:
    ret

putdec:                         ; AX unsigned
    mov cx, 10
    xor dx, dx
    div cx
    push dx
    test ax, ax
    jz .last
    call putdec
.last:
    pop ax
    add al, '0'
    ; falls through

putc:                           ; AL = character, BL = attribute
    pusha
    push es
    mov ah, al
    cmp al, 10
    jne .one
    mov al, 13
    call serial_byte
    mov al, 10
.one:
    call serial_byte
    mov dx, 0xb800
    mov es, dx
    mov di, [CURSOR]
    cmp ah, 10
    je .newline
    mov al, ah
    mov ah, bl
    shl di, 1
    stosw
    inc word [CURSOR]
    jmp .done
.newline:
    mov ax, di
    xor dx, dx
    mov cx, 80
    div cx
    inc ax
    mul cx
    mov [CURSOR], ax
.done:
    pop es
    popa
    ret

serial_init:                    ; 115200 8N1, no interrupts; FIFOs stay off, so that no input is lost
    mov si, t_uart
.next:
    lodsw
    test ax, ax
    jz .done
    movzx dx, al
    add dx, COM1 & 0xff00
    mov al, ah
    out dx, al
    jmp .next
.done:
    ret

serial_byte:                    ; AL; waits for the holding register, but not for ever
    push ax
    push cx
    push dx
    mov ah, al
    mov dx, COM1 + 5
    mov cx, 0xffff
.wait:
    in al, dx
    test al, 0x20
    loopz .wait
    mov dx, COM1
    mov al, ah
    out dx, al
    pop dx
    pop cx
    pop ax
    ret

; ---- VGA: 80x25 text, 720x400, 9x16 cells, from nothing ----------------------------------------
vga_init:
    mov dx, 0x3c2               ; miscellaneous output: colour addresses, 28 MHz, RAM enabled
    mov al, 0x67
    out dx, al
    mov dx, 0x3c4
    mov si, v_seq
    mov cx, 5
    call indexed
    mov dx, 0x3d4               ; CRTC 11h bit 7 protects 0..7: clear it first
    mov ax, 0x0e11
    out dx, ax
    mov si, v_crtc
    mov cx, 25
    call indexed
    mov dx, 0x3ce
    mov si, v_gc
    mov cx, 9
    call indexed
    mov dx, 0x3da               ; a read resets the attribute flip-flop
    in al, dx
    mov dx, 0x3c0
    mov si, v_attr
    mov cx, 21
    xor ah, ah
.attr:
    mov al, ah
    out dx, al
    lodsb
    out dx, al
    inc ah
    loop .attr
    mov al, 0x20                ; palette address source on: the picture appears
    out dx, al

    mov dx, 0x3c8               ; DAC: our sixteen colours
    xor al, al
    out dx, al
    inc dx
    mov si, v_dac
    mov cx, 48
    rep outsb

; The font goes to plane 2 at A000h, 32 bytes a glyph, of which 16 are drawn.
    mov si, v_font_in
    call pairs
    mov ax, 0xa000
    mov es, ax
    xor di, di
    mov si, font
    mov bx, 256
.glyph:
    mov cx, 8
    rep movsw
    xor ax, ax
    mov cx, 8
    rep stosw
    dec bx
    jnz .glyph
    mov si, v_font_out
    call pairs

    mov ax, 0xb800
    mov es, ax
    xor di, di
    mov ax, 0x0720
    mov cx, 80 * 25
    rep stosw
    ret

indexed:                        ; DX = index port, SI = values, CX = how many, from index 0
    xor ah, ah
.next:
    mov al, ah
    out dx, al
    inc dx
    outsb
    dec dx
    inc ah
    loop .next
    ret

pairs:                          ; SI = words of port low byte (0 ends), then index | value << 8
    lodsb
    test al, al
    jz .done
    movzx dx, al
    add dx, 0x300
    lodsw
    out dx, ax
    jmp pairs
.done:
    ret

v_seq:  db 0x03, 0x00, 0x03, 0x00, 0x02
v_crtc: db 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x20, 0x0f, 0x00, 0x00
        db 0x00, 0x00, 0x9c, 0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
v_gc:   db 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff
v_attr: db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        db 0x0c, 0x00, 0x0f, 0x08, 0x00
v_dac:  db  4,  5,  9,   8, 20, 45,  10, 38, 18,   6, 40, 44
        db 45, 12, 14,  36, 16, 42,  46, 30,  8,  44, 45, 48
        db 20, 22, 28,  20, 36, 62,  28, 58, 30,  30, 56, 60
        db 62, 26, 26,  58, 32, 60,  62, 56, 20,  62, 62, 63
v_font_in:                      ; sequencer: plane 2, flat; graphics: read 2, no odd/even, A0000h
        db 0xc4, 0x02, 0x04, 0xc4, 0x04, 0x06, 0xce, 0x04, 0x02, 0xce, 0x05, 0x00, 0xce, 0x06, 0x04, 0
v_font_out:
        db 0xc4, 0x02, 0x03, 0xc4, 0x04, 0x02, 0xce, 0x04, 0x00, 0xce, 0x05, 0x10, 0xce, 0x06, 0x0e, 0
t_uart: db 0xf9, 0x00, 0xfb, 0x80, 0xf8, 0x01, 0xf9, 0x00, 0xfb, 0x03, 0xfc, 0x03, 0, 0

t_title: db "Trivisor demo: from the reset vector to ring 3, without firmware", 10, 0
t_rule:  times 79 db '-'
         db 10, 0
t_ok:    db "[ok] ", 0
t_real:  db "real mode      ", 0, "F000:FFF0, then ", 0
t_real2: db " bytes copied from ROM to RAM at 0:8000", 10, 0
t_vga:   db "VGA text       ", 0, "80x25; our own font in plane 2, our palette in the DAC", 10, 0
t_int:   db "interrupts     ", 0, "vector table at 0: INT ", 0
t_int2:  db " times, divide error ", 0
t_int3:  db " time", 10, 0
t_a20:   db "A20 gate       ", 0, "port 92h: ", 0
t_a20_open: db "open, 1 MiB + 500h is not 500h", 10, 0
t_a20_shut: db "SHUT, addresses wrap at 1 MiB", 10, 0

align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff   ; 08: code, 32-bit, 4 GiB
        dq 0x00cf93000000ffff   ; 10: data
        dq 0x00af9b000000ffff   ; 18: code, 64-bit
gdtr:   dw gdtr - gdt - 1
        dd gdt

font:   incbin "font.bin"

; ---- protected mode, 32 bits, flat ------------------------------------------------------------
bits 32
protected:
    mov ax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, STACK
    mov esi, p_prot
    call step32

; Long mode there? CPUID 8000_0001h EDX bit 29.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc no_long

; The main part, from the ROM at the top of 4 GiB to 1 MiB.
    mov esi, ROM
    add esi, section..main.start
    mov edi, MAIN
    mov ecx, (main_end - main + 3) / 4
    rep movsd

    enter_long_mode PML4, 0x18, long_mode

no_long:
    mov esi, p_no_long
    mov bl, 0x0c
    call puts32
    mov dx, 0x501
    mov al, 1
    out dx, al
.halt:
    hlt
    jmp .halt

step32:
    push esi
    mov esi, t_ok
    mov bl, 0x0a
    call puts32
    pop esi
    mov bl, 0x0b
    call puts32
    mov bl, 0x07
puts32:                         ; ESI = text, BL = attribute
    lodsb
    test al, al
    jz .done
    call putc32
    jmp puts32
.done:
    ret

putc32:
    pusha
    mov ah, al
    cmp al, 10
    jne .one
    mov al, 13
    call serial32
    mov al, 10
.one:
    call serial32
    movzx edi, word [CURSOR]
    cmp ah, 10
    je .newline
    mov al, ah
    mov ah, bl
    mov [0xb8000 + edi * 2], ax
    inc word [CURSOR]
    popa
    ret
.newline:
    mov eax, edi
    xor edx, edx
    mov ecx, 80
    div ecx
    inc eax
    imul eax, ecx
    mov [CURSOR], ax
    popa
    ret

serial32:
    push eax
    push ecx
    mov ah, al
    mov dx, COM1 + 5
    mov ecx, 0xffff
.wait:
    in al, dx
    test al, 0x20
    loopz .wait
    mov dx, COM1
    mov al, ah
    out dx, al
    pop ecx
    pop eax
    ret

p_prot:    db "protected mode ", 0, "32-bit code and flat 4 GiB segments from a GDT of 4 entries", 10, 0
p_no_long: db "this CPU has no long mode: the demo ends here", 10, 0

; ---- long mode --------------------------------------------------------------------------------
bits 64
long_mode:
    mov esp, STACK64
    mov eax, MAIN
    jmp rax
low_end:

; ---- the main part, at 1 MiB ------------------------------------------------------------------
section .main follows=.low align=16 vstart=0x100000
main:
    incbin "main.bin"
    align 4, db 0
main_end:

; ---- the reset vector: the last 16 bytes ------------------------------------------------------
section .reset start=0xfff0 vstart=0xfff0
bits 16
    jmp near entry
    times 16 - ($ - $$) db 0
