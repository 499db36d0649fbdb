; sound.asm - ROMs that each make one sound and switch the machine off; for tests/audio.
;
; Real mode from the reset vector, no firmware. TEST says which sound:
;   1  the speaker by timer 2, 1000 Hz
;   2  the speaker's data bit toggled by the program, paced by timer 0: a 440 Hz tone
;   3  timer 2 again, then a second tone by reloading the count: 700 Hz and 1400 Hz
; Each lasts about 0.3 s of the machine's time; then debug-exit with code 0.

bits 16
org 0

%define PIT_HZ 1193182

start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000

%if TEST == 1
    mov ax, PIT_HZ / 1000
    call tone
    mov cx, 300
    call wait_ms
    call tone_off
%elif TEST == 2
; Timer 0 free-running in mode 2 with a count of 1356 (half of 440 Hz): the bit changes at each wrap.
    mov al, 0x34
    out 0x43, al
    mov ax, PIT_HZ / 880
    out 0x40, al
    mov al, ah
    out 0x40, al
    mov bp, 264                 ; half periods
    call count0
    mov bx, ax
.half:
    call count0
    cmp ax, bx
    mov bx, ax
    jbe .half                   ; counting down: larger means that it wrapped
    in al, 0x61
    and al, 0xfe                ; gate off: mode 3's OUT would be high
    xor al, 2
    out 0x61, al
    dec bp
    jnz .half
    call tone_off
%elif TEST == 3
    mov ax, PIT_HZ / 700
    call tone
    mov cx, 300
    call wait_ms
    mov ax, PIT_HZ / 1400
    out 0x42, al
    mov al, ah
    out 0x42, al
    mov cx, 300
    call wait_ms
    call tone_off
%endif

    mov cx, 60                  ; what is on its way shall be heard
    call wait_ms
    mov dx, 0x501
    xor al, al
    out dx, al
.end:
    hlt
    jmp .end

; Timer 2 in mode 3 with count AX, to the speaker.
tone:
    push ax
    mov al, 0xb6
    out 0x43, al
    pop ax
    out 0x42, al
    mov al, ah
    out 0x42, al
    in al, 0x61
    or al, 3
    out 0x61, al
    ret

tone_off:
    in al, 0x61
    and al, 0xfc
    out 0x61, al
    ret

; Timer 0's count in AX.
count0:
    mov al, 0
    out 0x43, al
    in al, 0x40
    mov ah, al
    in al, 0x40
    xchg al, ah
    ret

; CX milliseconds: the refresh bit changes every 18 ticks of the timer, 15.09 us.
wait_ms:
    push cx
    mov cx, 66
.edge:
    in al, 0x61
    and al, 0x10
    mov ah, al
.same:
    in al, 0x61
    and al, 0x10
    cmp al, ah
    je .same
    loop .edge
    pop cx
    loop wait_ms
    ret

    times 0xfff0 - ($ - $$) db 0
    jmp 0xf000:start
    times 0x10000 - ($ - $$) db 0
