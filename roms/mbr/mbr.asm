; mbr.asm - a boot sector that tries the BIOS: what SeaBIOS must find and be able to do.
;
; It reports on COM1 through INT 14h, puts a letter on the screen (INT 10h), reads sector 1 by INT 13h
; with LBA packets, advances the digit in it and writes it back, reads the disk's last sector
; (size from function 48h), counts RAM by E820h, and powers off through APM.
; The disk is made by tests/system/media.py.

bits 16
org 0x7c00
BUFFER equ 0x8000

    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov [drive], dl
    mov ax, 0x00e3              ; INT 14h, function 0: 9600 8N1 on COM1
    xor dx, dx
    int 0x14
    mov ax, 0x0e4d              ; INT 10h teletype: one letter on the screen
    mov bx, 7
    int 0x10
    mov si, t_hello
    call puts

; Sector 1: advance the counter.
    mov ah, 0x42
    call packet
    inc byte [BUFFER + 7]
    mov ax, 0x4300
    call packet
    mov al, [BUFFER + 7]
    call putc

; The last sector.
    mov word [BUFFER], 0x1e
    mov ah, 0x48
    mov dl, [drive]
    mov si, BUFFER
    int 0x13
    jc failed
    mov eax, [BUFFER + 16]
    dec eax
    mov [lba], eax
    mov ah, 0x42
    call packet
    mov si, t_last
    call puts
    mov si, BUFFER
    call puts

; RAM, in KiB, of all E820h entries of type 1.
    xor ebx, ebx
    xor ebp, ebp
.next:
    mov eax, 0xe820
    mov edx, 0x534d4150
    mov ecx, 20
    mov di, BUFFER
    int 0x15
    jc .done
    cmp dword [BUFFER + 16], 1
    jne .other
    mov eax, [BUFFER + 8]
    shr eax, 10
    add ebp, eax
.other:
    test ebx, ebx
    jnz .next
.done:
    mov si, t_ram
    call puts
    mov eax, ebp
    call putdec
    mov si, t_end
    call puts

    mov ax, 0x5301              ; APM: connect, version 1.2, off
    xor bx, bx
    int 0x15
    mov ax, 0x530e
    xor bx, bx
    mov cx, 0x0102
    int 0x15
    mov ax, 0x5307
    mov bx, 1
    mov cx, 3
    int 0x15
failed:
    mov si, t_failed
    call puts
.halt:
    hlt
    jmp .halt

packet:                         ; AH = function: the sector `lba` from or to BUFFER
    mov si, dap
    mov dl, [drive]
    int 0x13
    jc failed
    ret

puts:
    lodsb
    test al, al
    jz .done
    call putc
    jmp puts
.done:
    ret

putdec:
    mov ecx, 10
    xor edx, edx
    div ecx
    push dx
    test eax, eax
    jz .last
    call putdec
.last:
    pop ax
    add al, '0'
putc:
    pushad
    mov ah, 1
    xor dx, dx
    int 0x14
    popad
    ret

t_hello:  db "MBR: started by the BIOS", 13, 10, "boot number ", 0
t_last:   db 13, 10, "last sector: ", 0
t_ram:    db 13, 10, "RAM: ", 0
t_end:    db " KiB", 13, 10, 0
t_failed: db "MBR: failed", 13, 10, 0
drive:    db 0

dap:      db 16, 0
          dw 1
          dw BUFFER, 0
lba:      dd 1, 0

    times 440 - ($ - $$) db 0
    dd 0x56495254               ; disk signature
    dw 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
