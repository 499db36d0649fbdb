/*
 * bus/worker.c - one thread, one list of jobs to run, one of jobs that ran.
 *
 * Invariants: a job is in one of the lists, or running, or not ours; `told` is true exactly while a
 * letter that will look at the second list is on its way. A letter carries a pointer to the worker,
 * so none may be on its way when the worker is freed but at the machine's end, when the inbox is
 * not read any more.
 */
#include "bus/worker.h"
#include "base/log.h"
#include "bus/inbox.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct list {
    struct job *head, **tail;
};

struct worker {
    struct inbox *in;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, idle;
    struct list todo, ran;
    bool busy, told, end;
};

static void put(struct list *l, struct job *j)
{
    j->next = NULL;
    *l->tail = j;
    l->tail = &j->next;
}

static struct job *take(struct list *l)
{
    struct job *j = l->head;
    if (j) {
        l->head = j->next;
        if (!l->head)
            l->tail = &l->head;
    }
    return j;
}

/* The end of every job in the list; VM's thread. */
static void call_done(struct worker *w)
{
    for (;;) {
        pthread_mutex_lock(&w->lock);
        struct job *j = take(&w->ran);
        pthread_mutex_unlock(&w->lock);
        if (!j)
            return;
        j->done(j);
    }
}

static void on_letter(void *ctx, const void *data, u32 len)
{
    struct worker *w = ctx;
    (void)data;
    (void)len;
    pthread_mutex_lock(&w->lock);
    w->told = false;
    pthread_mutex_unlock(&w->lock);
    call_done(w);
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct job *j = take(&w->todo);
        if (!j && w->end)
            break;
        if (!j) {
            pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        w->busy = true;
        pthread_mutex_unlock(&w->lock);
        j->run(j);
        pthread_mutex_lock(&w->lock);
        w->busy = false;
        put(&w->ran, j);
        bool tell = !w->told;
        w->told = true;
        pthread_cond_signal(&w->idle);
        if (tell) {
            pthread_mutex_unlock(&w->lock);
            inbox_post(w->in, on_letter, w, NULL, 0);
            pthread_mutex_lock(&w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct worker *worker_new(struct inbox *in)
{
    struct worker *w = calloc(1, sizeof(*w));
    sigset_t all, old;
    CHECK(w);
    w->in = in;
    w->todo.tail = &w->todo.head;
    w->ran.tail = &w->ran.head;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    pthread_cond_init(&w->idle, NULL);
    sigfillset(&all); /* signals are the front end's threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e) {
        free(w);
        return NULL;
    }
    return w;
}

void worker_submit(struct worker *w, struct job *j)
{
    pthread_mutex_lock(&w->lock);
    put(&w->todo, j);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void worker_finish(struct worker *w)
{
    bool more = true;
    while (more) {
        pthread_mutex_lock(&w->lock);
        while (w->todo.head || w->busy)
            pthread_cond_wait(&w->idle, &w->lock);
        pthread_mutex_unlock(&w->lock);
        call_done(w);
        pthread_mutex_lock(&w->lock);
        more = w->todo.head || w->busy || w->ran.head;
        pthread_mutex_unlock(&w->lock);
    }
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    worker_finish(w);
    pthread_mutex_lock(&w->lock);
    w->end = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    pthread_cond_destroy(&w->idle);
    free(w);
}
