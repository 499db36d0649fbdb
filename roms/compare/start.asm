; start.asm - the comparison guest from its PVH entry point to 64-bit C, and the way to ring 3.
;
; As roms/pvdemo/start.asm: page tables at 10000h, the stack below 80000h. The user program below is
; one page that main.c maps at USER_CODE; it makes R12 system calls of SYSCALL and leaves by another.
; Manual: Intel SDM vol. 3, 5.8.8 (SYSCALL and SYSRET in 64-bit mode).

%include "longmode.inc"

PML4      equ 0x10000
STACK     equ 0x80000
SYS_STACK equ 0x78000

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
    enter_long_mode PML4, 0x18, long_mode ; EBX, the start info, stays as it is

bits 64
extern guest_main
long_mode:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, STACK
    mov edi, ebx
    call guest_main
.halt:
    hlt
    jmp .halt

; u64 run_user(u64 rip, u64 calls): in ring 3 until it has made its calls; their sum.
global run_user
run_user:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [saved_rsp], rsp
    mov r12, rsi
    xor r13d, r13d
    mov rcx, rdi
    mov r11d, 2                 ; interrupts stay off
    o64 sysret

; Number in EAX: 0 leaves, others add up what syscall_work(RDI) returns.
global syscall_entry
extern syscall_work
syscall_entry:
    test eax, eax
    jz .leave
    mov [user_rsp], rsp
    mov esp, SYS_STACK
    push rcx
    push r11
    call syscall_work
    pop r11
    pop rcx
    mov rsp, [user_rsp]
    o64 sysret
.leave:
    mov rsp, [saved_rsp]
    mov rax, r13
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .text
align 4096
global user_code
user_code:
    mov eax, 1
    mov rdi, r12
    syscall
    add r13, rax
    dec r12
    jnz user_code
    xor eax, eax
    syscall
align 4096

section .data
align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff   ; 08: code, 32-bit
        dq 0x00cf93000000ffff   ; 10: data
        dq 0x00af9b000000ffff   ; 18: code, 64-bit
        dq 0x00cf93000000ffff   ; 20: data, as SYSCALL loads SS
        dq 0x00cff3000000ffff   ; 28: data, ring 3
        dq 0x00affb000000ffff   ; 30: code, 64-bit, ring 3
gdtr:   dw gdtr - gdt - 1
        dd gdt
saved_rsp: dq 0
user_rsp:  dq 0
