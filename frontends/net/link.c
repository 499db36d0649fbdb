/*
 * frontends/net/link.c - the host's end of a network cable: two bounded queues and a thread.
 *
 * What it is not: anything that knows what a frame contains.
 *
 * Invariants: `out` is shared and locked, and swapped whole against `taken`; `held` and
 * `delivering` are the VM thread's, `batch` and `taken` the link thread's. under_way counts what
 * was posted and not yet received by the card, so `held` cannot overflow.
 */
#include "base/bits.h"
#include "frontends/net/net_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- VM's thread, guest to host ----------------------------------------------------------------
 */
void link_wake(struct link *l)
{
    u64 one = 1;
    if (write(l->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

static void link_send(struct netdev *n, const u8 *frame, size_t len)
{
    struct link *l = (struct link *)n;
    bool first = false;
    pthread_mutex_lock(&l->lock);
    if (l->out.len + LINK_PREFIX + len <= LINK_WINDOW) {
        first = l->out.len == 0;
        st_u32(l->out.data + l->out.len, (u32)len);
        memcpy(l->out.data + l->out.len + LINK_PREFIX, frame, len);
        l->out.len += LINK_PREFIX + (u32)len;
    }
    pthread_mutex_unlock(&l->lock);
    if (first)
        link_wake(l);
}

/* ---- VM's thread, host to guest ----------------------------------------------------------------
 */
static void deliver(struct link *l)
{
    u32 before = l->held_len;
    if (l->delivering)
        return;
    l->delivering = true;
    while (l->held_len && l->net.recv && l->net.can_receive(l->net.ctx)) {
        const u8 *p = l->held + l->held_at;
        u32 len = ld_u32(p);
        l->held_at += LINK_PREFIX + len;
        l->held_len -= LINK_PREFIX + len;
        l->net.recv(l->net.ctx, p + LINK_PREFIX, len);
    }
    l->delivering = false;
    u32 done = before - l->held_len;
    if (!l->held_len)
        l->held_at = 0;
    if (!done)
        return;
    /* The thread stops reading when the window is half full: wake it when it is again less. */
    u32 was = atomic_fetch_sub(&l->under_way, done);
    if (was > LINK_WINDOW / 2 && was - done <= LINK_WINDOW / 2)
        link_wake(l);
}

static void take_batch(void *ctx, const void *data, u32 len)
{
    struct link *l = ctx;
    if (l->held_at + l->held_len + len > LINK_WINDOW) {
        memmove(l->held, l->held + l->held_at, l->held_len);
        l->held_at = 0;
    }
    memcpy(l->held + l->held_at + l->held_len, data, len);
    l->held_len += len;
    deliver(l);
}

static void link_resume(struct netdev *n)
{
    deliver((struct link *)n);
}

/* ---- link's thread -------------------------------------------------------------------------- */
bool link_room(const struct link *l)
{
    return atomic_load(&((struct link *)(uintptr_t)l)->under_way) <= LINK_WINDOW / 2;
}

void link_flush(struct link *l)
{
    if (!l->batch_len)
        return;
    atomic_fetch_add(&l->under_way, l->batch_len);
    if (!vm_post(l->vm, take_batch, l, l->batch, l->batch_len))
        atomic_fetch_sub(&l->under_way, l->batch_len);
    l->batch_len = 0;
}

void link_give(struct link *l, const u8 *frame, size_t len)
{
    if (len < NET_FRAME_MIN || len > netdev_frame_max(&l->net))
        return;
    if (l->batch_len + LINK_PREFIX + len > LINK_BATCH)
        link_flush(l);
    if (atomic_load(&l->under_way) + l->batch_len + LINK_PREFIX + len > LINK_WINDOW)
        return;
    st_u32(l->batch + l->batch_len, (u32)len);
    memcpy(l->batch + l->batch_len + LINK_PREFIX, frame, len);
    l->batch_len += LINK_PREFIX + (u32)len;
}

const u8 *link_take(struct link *l, u32 *len)
{
    if (l->taken_at == l->taken.len) {
        l->taken.len = l->taken_at = 0;
        pthread_mutex_lock(&l->lock);
        struct link_queue q = l->out;
        l->out = l->taken;
        l->taken = q;
        pthread_mutex_unlock(&l->lock);
        if (!l->taken.len)
            return NULL;
    }
    const u8 *p = l->taken.data + l->taken_at;
    *len = ld_u32(p);
    l->taken_at += LINK_PREFIX + *len;
    return p + LINK_PREFIX;
}

void link_clear_wake(struct link *l)
{
    u64 count;
    if (read(l->wake_fd, &count, sizeof(count)) < 0) {
        /* nothing to clear */
    }
}

static void *loop(void *arg)
{
    struct link *l = arg;
    while (!atomic_load(&l->stop)) {
        l->ops->round(l);
        link_flush(l);
    }
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */
static void link_close(struct netdev *n)
{
    link_free((struct link *)n);
}

static const struct netdev_ops netdev_ops = {
    .send = link_send, .resume = link_resume, .close = link_close};

struct link *link_new(const struct link_ops *ops, void *host, const char *name)
{
    struct link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->net.ops = &netdev_ops;
    snprintf(l->net.name, sizeof(l->net.name), "%s", name);
    pthread_mutex_init(&l->lock, NULL);
    l->out.data = malloc(LINK_WINDOW);
    l->taken.data = malloc(LINK_WINDOW);
    l->held = malloc(LINK_WINDOW);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!l->out.data || !l->taken.data || !l->held || l->wake_fd < 0) {
        link_free(l);
        return NULL;
    }
    l->ops = ops;
    l->host = host;
    return l;
}

bool link_start(struct link *l, struct vm *vm)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    l->vm = vm;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->started = pthread_create(&l->thread, NULL, loop, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l->started;
}

void link_stop(struct link *l)
{
    if (!l || !l->started)
        return;
    atomic_store(&l->stop, true);
    link_wake(l);
    pthread_join(l->thread, NULL);
    l->started = false;
}

void link_free(struct link *l)
{
    if (!l)
        return;
    link_stop(l);
    if (l->ops)
        l->ops->close(l);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    free(l->out.data);
    free(l->taken.data);
    free(l->held);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
