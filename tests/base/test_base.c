/* tests/base/test_base.c - bit fields, little-endian access, status and log. */
#include <criterion/criterion.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

Test(bits, fields)
{
    static const struct {
        u64 v;
        int hi, lo;
        u64 want;
    } row[] = {
        {0xfedcba9876543210, 63, 0, 0xfedcba9876543210},
        {0xfedcba9876543210, 63, 60, 0xf},
        {0xfedcba9876543210, 3, 0, 0},
        {0xfedcba9876543210, 7, 4, 1},
        {0xfedcba9876543210, 35, 28, 0x87},
        {0x8000000000000000, 63, 63, 1},
        {1, 0, 0, 1},
    };
    for (size_t k = 0; k < ARRAY_LEN(row); k++)
        cr_expect_eq(bits(row[k].v, row[k].hi, row[k].lo), row[k].want, "row %zu", k);
}

Test(bits, sign_extension_and_masks)
{
    cr_expect_eq(sign_extend(0x80, 1), 0xffffffffffffff80);
    cr_expect_eq(sign_extend(0x17f, 1), 0x7f);
    cr_expect_eq(sign_extend(0x8000, 2), 0xffffffffffff8000);
    cr_expect_eq(sign_extend(0x80000000, 4), 0xffffffff80000000);
    cr_expect_eq(sign_extend(0x7fffffff, 4), 0x7fffffff);
    cr_expect_eq(sign_extend(0x8000000000000001, 8), 0x8000000000000001);
    cr_expect_eq(size_mask(1), 0xff);
    cr_expect_eq(size_mask(3), 0xffffff);
    cr_expect_eq(size_mask(8), UINT64_MAX);
}

Test(bits, alignment_and_powers)
{
    cr_expect(is_pow2(1) && is_pow2(BIT64(63)) && is_pow2(4096));
    cr_expect(!is_pow2(0) && !is_pow2(3) && !is_pow2(UINT64_MAX));
    cr_expect_eq(align_down(4097, 4096), 4096);
    cr_expect_eq(align_up(4097, 4096), 8192);
    cr_expect_eq(align_up(4096, 4096), 4096);
    cr_expect_eq(align_up(0, 4096), 0);
}

Test(bits, little_endian)
{
    u8 buf[16] = {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    cr_expect_eq(ld_u16(buf + 1), 0x2211);
    cr_expect_eq(ld_u32(buf + 1), 0x44332211);
    cr_expect_eq(ld_u64(buf + 1), 0x8877665544332211);
    cr_expect_eq(ld_le(buf + 3, 1), 0x33);
    cr_expect_eq(ld_le(buf + 3, 4), 0x66554433);
    memset(buf, 0xee, sizeof(buf));
    st_le(buf + 1, 0x0102030405060708, 3);
    cr_expect(buf[0] == 0xee && buf[1] == 8 && buf[2] == 7 && buf[3] == 6 && buf[4] == 0xee);
}

Test(status, message_and_code)
{
    struct error err;
    memset(&err, 'x', sizeof(err));
    cr_expect_eq(fail(&err, ST_RANGE, "%s: %d", "disk", 7), ST_RANGE);
    cr_expect_str_eq(err.msg, "disk: 7");
    cr_expect_eq(fail(NULL, ST_IO, "nobody listens"), ST_IO);
    /* longer than the buffer: cut, terminated */
    fail(&err, ST_IO, "%0600d", 1);
    cr_expect_eq(strlen(err.msg), sizeof(err.msg) - 1);
}

Test(status, from_errno_and_names)
{
    cr_expect_eq(status_from_errno(ENOENT), ST_NOENT);
    cr_expect_eq(status_from_errno(EACCES), ST_ACCESS);
    cr_expect_eq(status_from_errno(EROFS), ST_ACCESS);
    cr_expect_eq(status_from_errno(ENOMEM), ST_NOMEM);
    cr_expect_eq(status_from_errno(EBUSY), ST_BUSY);
    cr_expect_eq(status_from_errno(EIO), ST_IO);
    cr_expect_eq(status_from_errno(12345), ST_IO);
    for (int st = ST_OK; st <= ST_UNSUP; st++)
        cr_expect(status_name((enum status)st) && *status_name((enum status)st), "status %d", st);
    cr_expect_str_eq(status_name((enum status)999), "unknown");
}

struct lines {
    int n;
    enum log_level level;
    char last[1100];
};

static void collect(void *ctx, enum log_level level, const char *line)
{
    struct lines *l = ctx;
    l->n++;
    l->level = level;
    snprintf(l->last, sizeof(l->last), "%s", line);
}

static int evaluated(int *n)
{
    return ++*n;
}

Test(log, levels)
{
    struct lines l = {0};
    int n = 0;
    log_set_sink(collect, &l);
    log_warn("one %d", 1);
    cr_expect(l.n == 1 && l.level == LOG_WARN);
    cr_expect_str_eq(l.last, "one 1");
    log_info("not by default");
    log_guest("nor this %d", evaluated(&n));
    cr_expect_eq(l.n, 1);
    cr_expect_eq(n, 0, "arguments of a dropped guest line cost nothing");
    log_set_level(LOG_GUEST);
    log_guest("now %d", evaluated(&n));
    cr_expect(l.n == 2 && l.level == LOG_GUEST && n == 1);
    log_at(LOG_DEBUG, "still not");
    cr_expect_eq(l.n, 2);
    log_error("%02000d", 5); /* cut, not overrun */
    cr_expect(l.n == 3 && strlen(l.last) < sizeof(l.last));
    log_set_sink(NULL, NULL);
    log_set_level(LOG_WARN);
}

static void hook(void *ctx)
{
    _Exit(*(int *)ctx);
}

Test(log, check_runs_the_hook, .exit_code = 42)
{
    int code = 42;
    check_set_hook(hook, &code);
    CHECK(code == 42);
    CHECK(code == 43);
}

Test(log, check_aborts, .signal = SIGABRT)
{
    CHECK(!"reached");
}
