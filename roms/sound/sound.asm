; sound.asm - ROMs that each make one sound and switch the machine off; for tests/audio.
;
; Real mode from the reset vector, no firmware. TEST says which sound:
;   1  the speaker by timer 2, 1000 Hz
;   2  the speaker's data bit toggled by the program, paced by timer 0: a 440 Hz tone
;   3  timer 2 again, then a second tone by reloading the count: 700 Hz and 1400 Hz
;   4  Sound Blaster 16: 8 bits, mono, 11025 Hz, auto-initialized DMA, interrupts: 501.1 Hz
;   5  the same card: 16 bits, stereo, 44100 Hz: 689.1 Hz on the left, 1378.1 Hz on the right
;   6  its OPL3: an A of 440 Hz, after the detection that AdLib programs do
;   7  the same card: single blocks of a time constant (8000 Hz), 4-bit ADPCM: 500 Hz
; Each lasts about 0.3 s of the machine's time; then debug-exit with code 0, or another when the
; card is not as it should be.

bits 16
org 0

%define PIT_HZ 1193182
%define SB 0x220
%define TICKS 0x500             ; interrupts taken

; Bytes to the DSP, one after the other.
%macro dsp 1-*
%rep %0
    mov al, %1
    call dsp_write
%rotate 1
%endrep
%endmacro

; A register of the OPL's first bank.
%macro opl 2
    mov ax, %1 | (%2) << 8
    call opl_write
%endmacro

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
%elif TEST == 4
    call pic_init
    call dsp_reset
; 20 periods of 22 samples at 1000:0000, a triangle.
    mov ax, 0x1000
    mov es, ax
    xor di, di
    mov bp, 20
.period:
    mov al, 40
    mov cx, 11
.up:
    stosb
    add al, 16
    loop .up
    mov cx, 11
.down:
    stosb
    sub al, 16
    loop .down
    dec bp
    jnz .period
; DMA 1: read, single, auto-initialize, 440 bytes from 10000h.
    mov al, 0x05
    out 0x0a, al
    out 0x0c, al
    mov al, 0x59
    out 0x0b, al
    xor al, al
    out 0x02, al
    out 0x02, al
    mov ax, 439
    out 0x03, al
    mov al, ah
    out 0x03, al
    mov al, 1
    out 0x83, al
    out 0x0a, al
    sti
    dsp 0x41, 11025 >> 8, 11025 & 0xff
    dsp 0x48, 219 & 0xff, 219 >> 8
    dsp 0x1c
    mov cx, 300
    call wait_ms
    dsp 0xda                    ; no further block after this one
    mov cx, 30
    call wait_ms
    mov bx, [TICKS]             ; 0.3 s of 220 samples: 15 or 16, and the last
    sub bx, 15
    cmp bx, 2
    mov al, 9
    ja fail
    in al, 0x02                 ; and the transfer stands still
    mov ah, al
    in al, 0x02
    mov bx, ax
    mov cx, 5
    call wait_ms
    in al, 0x02
    mov ah, al
    in al, 0x02
    cmp ax, bx
    mov al, 10
    jne fail
%elif TEST == 5
    call dsp_reset
; 128 frames at 2000:0000: a triangle of 64 frames left, of 32 right.
    mov ax, 0x2000
    mov es, ax
    xor di, di
    xor cx, cx
.frame:
    mov ax, cx
    call triangle               ; 64 frames
    stosw
    mov ax, cx
    add ax, ax
    call triangle               ; 32 frames
    stosw
    inc cx
    cmp cx, 128
    jb .frame
; DMA 5: read, single, auto-initialize, 256 words from 20000h.
    mov al, 0x05
    out 0xd4, al
    out 0xd8, al
    mov al, 0x59
    out 0xd6, al
    xor al, al
    out 0xc4, al
    out 0xc4, al
    mov ax, 255
    out 0xc6, al
    mov al, ah
    out 0xc6, al
    mov al, 2
    out 0x8b, al
    mov al, 1
    out 0xd4, al
    dsp 0x41, 44100 >> 8, 44100 & 0xff
    dsp 0xb6, 0x30, 127, 0      ; auto-initialized, stereo, signed, 128 words a block
    mov bp, 200                 ; blocks, by polling
.block:
    mov dx, SB + 4
    mov al, 0x82
    out dx, al
    inc dx
.poll:
    in al, dx
    test al, 2
    jz .poll
    mov dx, SB + 15
    in al, dx
    dec bp
    jnz .block
    dsp 0xd5
%elif TEST == 6
; Timer 1 must run over in 80 us, and not before it is started.
    opl 4, 0x60
    opl 4, 0x80
    mov dx, 0x388
    in al, dx
    test al, 0xe0
    mov al, 11
    jnz fail
    opl 2, 0xff
    opl 4, 0x21
    mov cx, 1
    call wait_ms
    mov dx, 0x388
    in al, dx
    cmp al, 0xc0                ; bits 1 and 2 are 0: an OPL3
    mov al, 12
    jne fail
    opl 4, 0x60
    opl 4, 0x80
    opl 0x20, 0x01              ; modulator: silent
    opl 0x40, 0x3f
    opl 0x23, 0x21              ; carrier: held, times 1
    opl 0x43, 0x00
    opl 0x63, 0xf0
    opl 0x83, 0x0f
    opl 0xc0, 0x00
    opl 0xa0, 580 & 0xff        ; 440 Hz * 2^16 / 49716
    opl 0xb0, 0x20 | 4 << 2 | 580 >> 8
    mov cx, 300
    call wait_ms
    opl 0xb0, 4 << 2 | 580 >> 8
%elif TEST == 7
    call dsp_reset
; 8 bytes, 16 samples a period: eight up, eight down, 3 times the step each.
    mov ax, 0x1000
    mov es, ax
    xor di, di
    mov bp, 160
.adpcm:
    mov ax, 0x3333
    stosw
    stosw
    mov ax, 0xbbbb
    stosw
    stosw
    dec bp
    jnz .adpcm
    dsp 0x40, 131               ; 256 - 1000000 / 8000
    mov bp, 2
.again:
    mov al, 0x05
    out 0x0a, al
    out 0x0c, al
    mov al, 0x49                ; not auto-initialized
    out 0x0b, al
    xor al, al
    out 0x02, al
    out 0x02, al
    mov ax, 1279
    out 0x03, al
    mov al, ah
    out 0x03, al
    mov al, 1
    out 0x83, al
    out 0x0a, al
    dsp 0x74, 1279 & 0xff, 1279 >> 8
    mov dx, SB + 4
    mov al, 0x82
    out dx, al
    inc dx
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov dx, SB + 14
    in al, dx
    dec bp
    jnz .again
%endif

    mov cx, 60                  ; what is on its way shall be heard
    call wait_ms
    mov dx, 0x501
    xor al, al
    out dx, al
.end:
    hlt
    jmp .end

; AL: the code to leave with.
fail:
    mov dx, 0x501
    out dx, al
    jmp start.end

; The DSP answers AAh after a reset, and its version is 4.05. DMA channels 0-3 work from now on.
dsp_reset:
    mov dx, SB + 6
    mov al, 1
    out dx, al
    xor al, al
    out dx, al
    call dsp_read
    cmp al, 0xaa
    mov al, 7
    jne fail
    dsp 0xe1
    call dsp_read
    mov ah, al
    call dsp_read
    cmp ax, 0x0405
    mov al, 8
    jne fail
    mov al, 0xc0                ; DMA channel 4: cascade, open
    out 0xd6, al
    xor al, al
    out 0xd4, al
    ret

dsp_write:                      ; AL
    mov dx, SB + 12
    mov ah, al
.busy:
    in al, dx
    test al, 0x80
    jnz .busy
    mov al, ah
    out dx, al
    ret

dsp_read:
    mov dx, SB + 14
.empty:
    in al, dx
    test al, 0x80
    jz .empty
    mov dx, SB + 10
    in al, dx
    ret

opl_write:                      ; AH to register AL
    mov dx, 0x388
    out dx, al
    inc dx
    mov al, ah
    out dx, al
    ret

; AX, modulo 64, to a triangle of 16 bits around 0.
triangle:
    and ax, 63
    cmp ax, 32
    jb .rise
    neg ax
    add ax, 64
.rise:
    sub ax, 16
    push cx
    mov cx, 600
    imul cx
    pop cx
    ret

; The interrupt controllers at 8 and 70h, everything masked but IRQ 5.
pic_init:
    mov al, 0x11
    out 0x20, al
    mov al, 0x08
    out 0x21, al
    mov al, 0x04
    out 0x21, al
    mov al, 0x01
    out 0x21, al
    mov al, 0xdf
    out 0x21, al
    mov word [(8 + 5) * 4], irq5
    mov word [(8 + 5) * 4 + 2], 0xf000
    mov word [TICKS], 0
    ret

irq5:
    push ax
    push dx
    inc word [TICKS]
    mov dx, SB + 14
    in al, dx
    mov al, 0x20
    out 0x20, al
    pop dx
    pop ax
    iret

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
