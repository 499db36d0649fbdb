; start.asm - the comparison guest from its PVH entry point to 64-bit C, and the way to ring 3.
;
; Page tables are at 10000h, the stack below 80000h. The user program below is
; one page that main.c maps at USER_CODE; it makes R12 system calls of SYSCALL and leaves by another.
; Manual: Intel SDM vol. 3, 5.8.8 (SYSCALL and SYSRET in 64-bit mode).

%include "pvh.inc"

SYS_STACK equ 0x78000

pvh_start 0x10000, 0x80000

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
gdt:    gdt_flat
        dq 0x00cf93000000ffff   ; 20: data, as SYSCALL loads SS
        dq 0x00cff3000000ffff   ; 28: data, ring 3
        dq 0x00affb000000ffff   ; 30: code, 64-bit, ring 3
gdtr:   dw gdtr - gdt - 1
        dd gdt
saved_rsp: dq 0
user_rsp:  dq 0
