/*
 * tests/fuzz/fuzz_exec_host.c - any bytes as an instruction at CPL 3, on our engines and on the
 * host's processor: whatever both know must end the same.
 *
 * Input: a byte for the width of the code, 4 bytes that registers and memory are made of, then the
 * instruction. Prefixes in any number and order are what the recorder's forms do not have. A host
 * that cannot run them (docs/recording.md) passes.
 */
#include "tests/fuzz/fuzz.h"
#include "base/bits.h"
#include "frontends/record/inputs.h"
#include "frontends/record/ours.h"
#include "frontends/record/session.h"

enum { HEAD = 5, SEG_FS = 4, TRIES = 6 /* of one instruction, with other registers */ };

struct bench {
    struct host *host;
    struct ours *ours[SESSION_ENGINES];
    int n_ours;
    struct host_case *result;
    bool refused;
};

static bool begin(struct bench *b)
{
    struct error err;
    if (b->host || b->refused)
        return !b->refused;
    if (host_open(&b->host, &err) != ST_OK) {
        fprintf(stderr, "skipped: %s\n", err.msg);
        b->refused = true;
        return false;
    }
    for (; b->n_ours < SESSION_ENGINES && testbed_engines()[b->n_ours]; b->n_ours++)
        MUST(ours_open("host", testbed_engines()[b->n_ours], &b->ours[b->n_ours], &err) == ST_OK);
    b->result = malloc(sizeof(*b->result));
    MUST(b->result);
    return true;
}

/* FS is the C library's in the child. */
static bool touches_fs(const struct insn_shape *s)
{
    for (int k = 0; k < s->n; k++)
        if (s->op[k].kind == SHAPE_MEM && s->op[k].seg == SEG_FS)
            return true;
    return false;
}

static void complain(const struct bench *b, const struct host_case *c, int engine, const char *what)
{
    fprintf(stderr, "%d bits, %s:", c->bits, testbed_engines()[engine]);
    for (int k = 0; k < c->len; k++)
        for (u32 j = 0; j < c->n_in; j++)
            if (c->mem_in[j].addr == (u32)code_linear(c->bits, c->in.rip) + (u32)k)
                fprintf(stderr, " %02x", c->mem_in[j].value);
    fprintf(stderr, ": %s\n  ", what);
    for (int k = 0; k < 16; k++)
        fprintf(stderr, " %llx", (unsigned long long)c->in.gpr[k]);
    fprintf(stderr, " rip %llx flags %llx cr2 %llx\n", (unsigned long long)c->in.rip,
            (unsigned long long)c->in.rflags, (unsigned long long)c->cr2);
}

static void compare(const struct bench *b, struct host_case *c, const struct insn_shape *shape)
{
    char text[256];
    u32 flags;
    if (!session_result(c, shape, &flags))
        return;
    for (int k = 0; k < b->n_ours; k++) {
        ours_run(b->ours[k], c, b->result);
        if (!ours_differs(c, b->result, flags, text, sizeof(text)))
            continue;
        complain(b, c, k, text);
        MUST(!"the same as the processor");
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct bench b;
    struct insn_shape shape, shapes[TRIES];
    struct error err;

    if (size <= HEAD || !begin(&b))
        return 0;
    struct rnd r = {ld_u32(data + 1)};
    int bits = data[0] & 1 ? data[0] & 2 ? 16 : 32 : 64,
        n_bytes = (int)MIN(size - HEAD, (size_t)15);
    if (!insns_shape(ours_testbed(b.ours[0]), bits, data + HEAD, n_bytes, &shape) ||
        !session_runs(&shape) || touches_fs(&shape))
        return 0;
    int n = 0;
    for (int k = 0; k < TRIES; k++)
        n += inputs_for(ours_testbed(b.ours[0]), bits, data + HEAD, n_bytes, &r,
                        host_case(b.host, n), &shapes[n]);
    if (n)
        MUST(host_run(b.host, n, &err) == ST_OK);
    for (int k = 0; k < n; k++)
        compare(&b, host_case(b.host, k), &shapes[k]);
    return 0;
}
