/*
 * bus/inbox.c - a locked queue and an eventfd that ends a sleep.
 */
#include "bus/inbox.h"
#include "base/log.h"
#include "bus/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct letter {
    struct letter *next;
    inbox_fn *fn;
    void *ctx;
    u32 len;
    u8 data[];
};

struct inbox {
    pthread_mutex_t lock;
    struct letter *head, **tail;
    _Atomic bool pending;
    int fd;
    void (*kick)(void *);
    void *kick_ctx;
};

struct inbox *inbox_new(void)
{
    struct inbox *in = calloc(1, sizeof(*in));
    CHECK(in);
    pthread_mutex_init(&in->lock, NULL);
    in->tail = &in->head;
    in->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(in->fd >= 0);
    return in;
}

static struct letter *take_all(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    struct letter *l = in->head;
    in->head = NULL;
    in->tail = &in->head;
    atomic_store_explicit(&in->pending, false, memory_order_relaxed);
    pthread_mutex_unlock(&in->lock);
    return l;
}

void inbox_free(struct inbox *in)
{
    if (!in)
        return;
    for (struct letter *l = take_all(in), *next; l; l = next) {
        next = l->next;
        free(l);
    }
    close(in->fd);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

bool inbox_post(struct inbox *in, inbox_fn *fn, void *ctx, const void *data, u32 len)
{
    struct letter *l = len <= INBOX_MAX ? malloc(sizeof(*l) + len) : NULL;
    if (!l)
        return false;
    *l = (struct letter){.fn = fn, .ctx = ctx, .len = len};
    if (len)
        memcpy(l->data, data, len);
    pthread_mutex_lock(&in->lock);
    *in->tail = l;
    in->tail = &l->next;
    atomic_store_explicit(&in->pending, true, memory_order_relaxed);
    pthread_mutex_unlock(&in->lock);
    inbox_wake(in);
    if (in->kick)
        in->kick(in->kick_ctx);
    return true;
}

void inbox_wake(struct inbox *in)
{
    u64 one = 1;
    int saved = errno; /* signal handlers */
    if (write(in->fd, &one, sizeof(one)) < 0) {
        /* EAGAIN: the counter is full, so the sleeper is awake already */
    }
    errno = saved;
}

void inbox_set_kick(struct inbox *in, void (*fn)(void *), void *ctx)
{
    in->kick = fn;
    in->kick_ctx = ctx;
}

bool inbox_pending(const struct inbox *in)
{
    return atomic_load_explicit(&((struct inbox *)(uintptr_t)in)->pending, memory_order_relaxed);
}

void inbox_drain(struct inbox *in)
{
    if (!inbox_pending(in))
        return;
    for (struct letter *l = take_all(in), *next; l; l = next) {
        next = l->next;
        l->fn(l->ctx, l->data, l->len);
        free(l);
    }
}

/* The counter is cleared here and only here, after the sleep: a post sets `pending` before it
 * counts, so whatever is cleared is seen by the drain that follows. Clearing it in the drain
 * would leave the count of a post that was drained between its two steps, or lose inbox_wake(). */
void inbox_wait(struct inbox *in, u64 timeout_ns)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                          .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};
    u64 count;
    if (inbox_pending(in))
        return;
    if (ppoll(&p, 1, timeout_ns == CLOCK_NEVER ? NULL : &ts, NULL) > 0 &&
        read(in->fd, &count, sizeof(count)) < 0) {
        /* another waiter took it */
    }
}
