/* tests/bus/test_inbox.c - posts from several threads arrive once, in order, and end a sleep. */
#include <criterion/criterion.h>

#include "bus/inbox.h"
#include "bus/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, EACH = 2000 };

struct seen {
    struct inbox *in;
    u32 next[THREADS];
    u32 n;
    bool in_order;
    _Atomic int kicks;
};

struct msg {
    u32 who, n;
};

static void take(void *ctx, const void *data, u32 len)
{
    struct seen *s = ctx;
    struct msg m;
    memcpy(&m, data, sizeof(m));
    s->in_order &= len == sizeof(m) && m.n == s->next[m.who];
    s->next[m.who]++;
    s->n++;
}

static void kick(void *ctx)
{
    atomic_fetch_add(&((struct seen *)ctx)->kicks, 1);
}

struct poster {
    struct seen *s;
    u32 who;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (u32 k = 0; k < EACH; k++) {
        struct msg m = {p->who, k};
        inbox_post(p->s->in, take, p->s, &m, sizeof(m));
    }
    return NULL;
}

Test(inbox, threads, .timeout = 60)
{
    struct seen s = {.in = inbox_new(), .in_order = true};
    struct poster p[THREADS];
    pthread_t t[THREADS];
    inbox_set_kick(s.in, kick, &s);
    for (u32 k = 0; k < THREADS; k++) {
        p[k] = (struct poster){&s, k};
        pthread_create(&t[k], NULL, post_many, &p[k]);
    }
    while (s.n < THREADS * EACH) { /* a lost wake-up hangs here */
        inbox_wait(s.in, CLOCK_NEVER);
        inbox_drain(s.in);
    }
    for (int k = 0; k < THREADS; k++)
        pthread_join(t[k], NULL);
    cr_expect(s.in_order);
    cr_expect_eq(s.kicks, THREADS * EACH);
    cr_expect(!inbox_pending(s.in));
    inbox_free(s.in);
}

static void repost(void *ctx, const void *data, u32 len)
{
    struct seen *s = ctx;
    s->n++;
    inbox_post(s->in, repost, s, NULL, 0);
}

Test(inbox, drain_ends)
{
    struct seen s = {.in = inbox_new()};
    inbox_drain(s.in);
    inbox_post(s.in, repost, &s, NULL, 0);
    inbox_drain(s.in); /* what is posted meanwhile is the next drain's */
    cr_expect_eq((int)s.n, 1);
    cr_expect(inbox_pending(s.in));
    inbox_drain(s.in);
    cr_expect_eq((int)s.n, 2);
    inbox_free(s.in); /* with one still in it */
    inbox_free(NULL);
}

static void measure(void *ctx, const void *data, u32 len)
{
    *(u32 *)ctx = len;
}

Test(inbox, sizes)
{
    u32 got = 1;
    u8 *big = calloc(1, INBOX_MAX + 1);
    struct inbox *in = inbox_new();
    cr_expect(!inbox_post(in, measure, &got, big, INBOX_MAX + 1));
    cr_expect(!inbox_pending(in));
    cr_expect(inbox_post(in, measure, &got, big, INBOX_MAX));
    memset(big, 0xff, INBOX_MAX); /* it was copied */
    inbox_drain(in);
    cr_expect_eq((int)got, INBOX_MAX);
    inbox_post(in, measure, &got, NULL, 0);
    inbox_drain(in);
    cr_expect_eq((int)got, 0);
    free(big);
    inbox_free(in);
}

/* How often a wait comes back at once: after everything was drained it must sleep. The time is
 * the host's, but only a wait that does not sleep at all fails this. */
Test(inbox, sleeps_after_a_drain, .timeout = 60)
{
    u32 got;
    struct clock *c = clock_new(CLOCK_REAL, 0);
    struct inbox *in = inbox_new();
    inbox_post(in, measure, &got, NULL, 0);
    inbox_drain(in);
    inbox_wait(in, 1); /* the count of the post that was drained may end one sleep */
    u64 before = clock_now(c);
    inbox_wait(in, 20000000);
    cr_expect(clock_now(c) - before >= 19000000);

    inbox_wake(in); /* before the sleep: remembered */
    inbox_wait(in, CLOCK_NEVER);
    cr_expect(!inbox_pending(in));
    before = clock_now(c);
    inbox_wait(in, 20000000);
    cr_expect(clock_now(c) - before >= 19000000, "one wake ends one sleep");
    inbox_free(in);
    clock_free(c);
}
