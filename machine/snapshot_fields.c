/*
 * machine/snapshot_fields.c - a chip's fields as bytes, and back.
 *
 * A section: the number of fields, then each with its name, type, size and count before its bytes,
 * in the order of the chip's table. A file fits when it has exactly the fields of this program's
 * chip: one that has more, fewer or others was written by a program whose chip is another, and is
 * refused by the field's name. Values are the chip's business (struct device_ops.loaded), but for
 * bools, which are 0 or 1 to the compiler.
 *
 * A timer is its deadline and its rank among all armed timers of the machine: what falls due at
 * the same moment goes off in the order in which it was armed, after a restore too.
 */
#include "machine/snapshot_priv.h"
#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMER_BYTES = 12 };

/* ---- timers ---------------------------------------------------------------------------------- */
void snap_timers_add(struct snap_timers *ts, const void *base, const struct field *f)
{
    for (; f && f->name; f++) {
        if (f->type != FIELD_TIMER)
            continue;
        if (ts->n == ts->cap) {
            u32 cap = ts->cap ? ts->cap * 2 : 64;
            struct snap_timer *e = realloc(ts->e, cap * sizeof(*e));
            if (!e) {
                ts->failed = true;
                return;
            }
            ts->e = e;
            ts->cap = cap;
        }
        struct timer *t = (struct timer *)((uintptr_t)base + f->offset);
        ts->e[ts->n++] = (struct snap_timer){.t = t, .when = CLOCK_NEVER};
    }
}

void snap_timers_rank(struct snap_timers *ts)
{
    for (u32 k = 0; k < ts->n; k++) {
        struct snap_timer *e = &ts->e[k];
        e->when = e->t->when;
        e->rank = timer_armed(e->t);
        for (u32 j = 0; e->rank && j < ts->n; j++)
            e->rank += timer_armed(ts->e[j].t) && ts->e[j].t->seq < e->t->seq;
    }
}

void snap_timers_disarm(struct snap_timers *ts)
{
    for (u32 k = 0; k < ts->n; k++)
        timer_disarm(ts->e[k].t);
}

static int by_rank(const void *a, const void *b)
{
    const struct snap_timer *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

void snap_timers_arm(struct snap_timers *ts)
{
    if (ts->n)
        qsort(ts->e, ts->n, sizeof(*ts->e), by_rank);
    for (u32 k = 0; k < ts->n; k++)
        if (ts->e[k].rank)
            timer_arm(ts->e[k].t, ts->e[k].when);
}

void snap_timers_order(struct snap_timers *ts)
{
    for (u32 k = 0; k < ts->n; k++)
        if (ts->e[k].rank && ts->e[k].t->when == ts->e[k].when)
            timer_arm(ts->e[k].t, ts->e[k].when);
}

void snap_timers_free(struct snap_timers *ts)
{
    free(ts->e);
    *ts = (struct snap_timers){0};
}

static struct snap_timer *timer_of(const struct snap_timers *ts, const struct timer *t)
{
    for (u32 k = 0; k < ts->n; k++)
        if (ts->e[k].t == t)
            return &ts->e[k];
    return NULL;
}

/* ---- out ------------------------------------------------------------------------------------- */
static u32 bytes_of(const struct field *f)
{
    return f->type == FIELD_TIMER ? TIMER_BYTES : f->size * f->count;
}

static u32 fields_in(const struct field *f)
{
    u32 n = 0;
    while (f && f[n].name)
        n++;
    return n;
}

/* What precedes a field's bytes. A timer's own size is the host's business. */
static size_t describe(const struct field *f, u8 out[272])
{
    size_t name = MIN(strlen(f->name), 255u);
    out[0] = (u8)name;
    memcpy(out + 1, f->name, name);
    out[1 + name] = (u8)f->type;
    st_u32(out + 2 + name, f->type == FIELD_TIMER ? TIMER_BYTES : f->size);
    st_u32(out + 6 + name, f->count);
    return 10 + name;
}

void snap_fields_put(struct snap_buf *b, const void *base, const struct field *f,
                     const struct snap_timers *ts)
{
    u8 head[272];
    st_u32(head, fields_in(f));
    snap_buf_add(b, head, 4);
    for (; f && f->name; f++) {
        const u8 *p = (const u8 *)base + f->offset;
        snap_buf_add(b, head, describe(f, head));
        if (f->type == FIELD_TIMER) {
            const struct snap_timer *t = timer_of(ts, (const struct timer *)(const void *)p);
            u8 out[TIMER_BYTES];
            st_u64(out, t ? t->when : CLOCK_NEVER);
            st_u32(out + 8, t ? t->rank : 0);
            snap_buf_add(b, out, sizeof(out));
        } else {
            snap_buf_add(b, p, bytes_of(f));
        }
    }
}

/* ---- in -------------------------------------------------------------------------------------- */
static bool values_possible(const struct field *f, const u8 *v)
{
    for (u32 k = 0; f->type == FIELD_BOOL && k < f->count; k++)
        if (v[k] > 1)
            return false;
    return true;
}

bool snap_fields_get(const u8 *data, size_t len, void *base, const struct field *f,
                     struct snap_timers *ts, char *why, size_t why_size)
{
    u8 head[272];
    size_t at = 4;
    if (len < 4) {
        snprintf(why, why_size, "no fields");
        return false;
    }
    if (ld_u32(data) != fields_in(f)) {
        snprintf(why, why_size, "%u fields, not %u", ld_u32(data), fields_in(f));
        return false;
    }
    for (; f && f->name; f++) {
        size_t n = describe(f, head), bytes = bytes_of(f);
        if (n > len - at || memcmp(data + at, head, n) || bytes > len - at - n ||
            !values_possible(f, data + at + n)) {
            snprintf(why, why_size, "field %s", f->name);
            return false;
        }
        const u8 *v = data + at + n;
        at += n + bytes;
        if (!base)
            continue;
        u8 *to = (u8 *)base + f->offset;
        if (f->type == FIELD_TIMER) {
            struct snap_timer *t = timer_of(ts, (const struct timer *)(const void *)to);
            if (t) {
                t->when = ld_u64(v);
                t->rank = t->when == CLOCK_NEVER ? 0 : ld_u32(v + 8);
            }
        } else {
            memcpy(to, v, bytes);
        }
    }
    if (at != len) {
        snprintf(why, why_size, "bytes after the last field");
        return false;
    }
    return true;
}
