/*
 * tests/insn/native.c - the host's silicon as the judge: a trampoline that loads all sixteen
 * registers and the flags, runs a few bytes, and stores everything again.
 *
 * 32-bit code is reached by a far jump to the 32-bit user segment, and left by one. Signals (#DE,
 * #GP, #UD, #PF) come back on an alternate stack.
 */
#include "tests/insn/insn_test.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { PAGE = 4096, BRIDGE_AT = CODE_AT + 256, FAR_AT = CODE_AT + 512 };

/* Reached by rip-relative addresses, since no register is free. Tests run one at a time. */
struct regs native_regs;
u64 native_host_rsp, native_target;
void native_enter_asm(void);
void native_leave_asm(void);
static sigjmp_buf escape;
static u8 signal_stack[65536];

__asm__(".text\n"
        ".globl native_enter_asm\n"
        "native_enter_asm:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, native_host_rsp(%rip)\n"
        "  pushq 128+native_regs(%rip)\n"
        "  popfq\n"
        "  mov 0+native_regs(%rip), %rax\n"
        "  mov 8+native_regs(%rip), %rcx\n"
        "  mov 16+native_regs(%rip), %rdx\n"
        "  mov 24+native_regs(%rip), %rbx\n"
        "  mov 32+native_regs(%rip), %rsp\n"
        "  mov 40+native_regs(%rip), %rbp\n"
        "  mov 48+native_regs(%rip), %rsi\n"
        "  mov 56+native_regs(%rip), %rdi\n"
        "  mov 64+native_regs(%rip), %r8\n"
        "  mov 72+native_regs(%rip), %r9\n"
        "  mov 80+native_regs(%rip), %r10\n"
        "  mov 88+native_regs(%rip), %r11\n"
        "  mov 96+native_regs(%rip), %r12\n"
        "  mov 104+native_regs(%rip), %r13\n"
        "  mov 112+native_regs(%rip), %r14\n"
        "  mov 120+native_regs(%rip), %r15\n"
        "  jmp *native_target(%rip)\n"
        ".globl native_leave_asm\n"
        "native_leave_asm:\n"
        "  mov %rax, 0+native_regs(%rip)\n"
        "  mov %rcx, 8+native_regs(%rip)\n"
        "  mov %rdx, 16+native_regs(%rip)\n"
        "  mov %rbx, 24+native_regs(%rip)\n"
        "  mov %rsp, 32+native_regs(%rip)\n"
        "  mov %rbp, 40+native_regs(%rip)\n"
        "  mov %rsi, 48+native_regs(%rip)\n"
        "  mov %rdi, 56+native_regs(%rip)\n"
        "  mov %r8, 64+native_regs(%rip)\n"
        "  mov %r9, 72+native_regs(%rip)\n"
        "  mov %r10, 80+native_regs(%rip)\n"
        "  mov %r11, 88+native_regs(%rip)\n"
        "  mov %r12, 96+native_regs(%rip)\n"
        "  mov %r13, 104+native_regs(%rip)\n"
        "  mov %r14, 112+native_regs(%rip)\n"
        "  mov %r15, 120+native_regs(%rip)\n"
        "  mov native_host_rsp(%rip), %rsp\n"
        "  pushfq\n"
        "  popq 128+native_regs(%rip)\n"
        "  cld\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

static void caught(int sig)
{
    siglongjmp(escape, sig);
}

static bool map(u64 at, size_t size, int prot)
{
    void *p =
        mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return p == (void *)at;
}

static void catch (int sig)
{
    struct sigaction sa = {.sa_handler = caught, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(sig, &sa, NULL);
}

bool native_open(void)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
    if (!map(CODE_AT, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
        !map(DATA_AT, DATA_SIZE, PROT_READ | PROT_WRITE))
        return false;
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    sigaltstack(&ss, NULL);
    for (size_t k = 0; k < ARRAY_LEN(signals); k++)
        catch (signals[k]);
    return true;
}

u8 *native_data(void)
{
    return (u8 *)(uintptr_t)DATA_AT;
}

/* jmp *[rip+0]; .quad native_leave_asm */
static u8 *put_return(u8 *p)
{
    static const u8 jmp[] = {0xff, 0x25, 0, 0, 0, 0};
    memcpy(p, jmp, sizeof(jmp));
    st_u64(p + sizeof(jmp), (u64)(uintptr_t)native_leave_asm);
    return p + sizeof(jmp) + 8;
}

int native_run(const u8 *bytes, int len, bool bits32, struct regs *r)
{
    u8 *code = (u8 *)(uintptr_t)CODE_AT;
    memcpy(code, bytes, (size_t)len);
    native_target = CODE_AT;
    if (bits32) {
        u8 *p = code + len; /* ljmp 0x33:BRIDGE_AT + 32, back to 64 bits */
        *p++ = 0xea;
        st_u32(p, BRIDGE_AT + 32);
        st_u16(p + 4, 0x33);
        put_return((u8 *)(uintptr_t)(BRIDGE_AT + 32));
        u8 *b = (u8 *)(uintptr_t)BRIDGE_AT; /* ljmp *[FAR_AT]: to 0x23:CODE_AT */
        static const u8 ljmp[] = {0xff, 0x2c, 0x25};
        memcpy(b, ljmp, sizeof(ljmp));
        st_u32(b + 3, FAR_AT);
        st_u32((void *)(uintptr_t)FAR_AT, CODE_AT);
        st_u16((void *)(uintptr_t)(FAR_AT + 4), 0x23);
        native_target = BRIDGE_AT;
    } else {
        put_return(code + len);
    }
    native_regs = *r;
    native_regs.flags = (r->flags & FLAGS_SEEN) | 0x202;
    catch (SIGFPE); /* a new CPU takes it for itself */
    int sig = sigsetjmp(escape, 0);
    if (sig == 0)
        native_enter_asm();
    *r = native_regs;
    return sig;
}
