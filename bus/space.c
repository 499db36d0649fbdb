/*
 * bus/space.c - address spaces: mappings by priority, flattened for look-up.
 *
 * Two flat views (what reads see, what writes see) are rebuilt whenever the map changes; each is a
 * sorted array of disjoint ranges. Small spaces (ports) have a direct table besides.
 *
 * Invariant: a view never refers to a mapping that was unmapped: unmap rebuilds before it frees,
 * and accesses take what they need from the mapping before they call the device, as the device may
 * change the map.
 */
#include "bus/space.h"
#include "base/bits.h"
#include "base/log.h"

#include <stdlib.h>

enum { DIRECT_MAX = 65536 };

struct mapping {
    struct space *sp;
    struct mapping *next;
    gpa addr;
    u64 size;
    int prio, flags;
    u32 seq; /* later wins among equals */
    bool on;
    hva host; /* RAM and ROM */
    struct ram *ram;
    u64 ram_off;
    struct device *dev;
    int region, max_size;
};

struct range {
    gpa start, last;
    struct mapping *m;
};

struct view {
    struct range *r;
    u32 n;
    struct mapping **direct; /* by address, spaces up to DIRECT_MAX */
};

struct space {
    const char *name;
    u64 size;
    struct mapping *maps;
    u32 seq, n_maps;
    struct view view[2]; /* read, write */
    void (*listener)(void *);
    void *listener_ctx;
    int depth;
    bool changed;
};

struct space *space_new(const char *name, u64 size)
{
    struct space *sp = calloc(1, sizeof(*sp));
    CHECK(sp);
    sp->name = name;
    sp->size = size;
    if (size <= DIRECT_MAX) {
        for (int v = 0; v < 2; v++) {
            sp->view[v].direct = calloc(size, sizeof(struct mapping *));
            CHECK(sp->view[v].direct);
        }
    }
    return sp;
}

void space_free(struct space *sp)
{
    if (!sp)
        return;
    for (struct mapping *m = sp->maps, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    for (int v = 0; v < 2; v++) {
        free(sp->view[v].r);
        free(sp->view[v].direct);
    }
    free(sp);
}

/* ---- flattening ---------------------------------------------------------------------------- */
static bool beats(const struct mapping *a, const struct mapping *b)
{
    return a->prio != b->prio ? a->prio > b->prio : a->seq > b->seq;
}

static bool in_view(const struct mapping *m, int v)
{
    return m->on && m->size && m->addr < m->sp->size && (m->flags & (v ? MAP_WRITE : MAP_READ));
}

static gpa last_of(const struct mapping *m)
{
    u64 room = m->sp->size - m->addr;
    return m->addr + MIN(m->size, room) - 1;
}

static int by_addr(const void *a, const void *b)
{
    gpa x = *(const gpa *)a, y = *(const gpa *)b;
    return x < y ? -1 : x > y;
}

/* Every start and end of a mapping cuts the space; each piece goes to its best mapping. */
static void flatten(struct space *sp, int v)
{
    struct view *w = &sp->view[v];
    gpa *cut = malloc((sp->n_maps * 2 + 1) * sizeof(*cut));
    struct range *r = malloc((sp->n_maps * 2 + 1) * sizeof(*r));
    u32 n_cut = 0, n = 0;
    CHECK(cut && r);

    for (struct mapping *m = sp->maps; m; m = m->next) {
        if (in_view(m, v)) {
            cut[n_cut++] = m->addr;
            cut[n_cut++] = last_of(m) + 1;
        }
    }
    qsort(cut, n_cut, sizeof(*cut), by_addr);
    for (u32 k = 0; k + 1 < n_cut; k++) {
        if (cut[k] == cut[k + 1])
            continue;
        struct mapping *best = NULL;
        for (struct mapping *m = sp->maps; m; m = m->next)
            if (in_view(m, v) && m->addr <= cut[k] && last_of(m) >= cut[k] &&
                (!best || beats(m, best)))
                best = m;
        if (!best)
            continue;
        if (n && r[n - 1].m == best && r[n - 1].last + 1 == cut[k])
            r[n - 1].last = cut[k + 1] - 1;
        else
            r[n++] = (struct range){cut[k], cut[k + 1] - 1, best};
    }
    free(cut);
    free(w->r);
    w->r = r;
    w->n = n;
    if (w->direct) {
        memset(w->direct, 0, sp->size * sizeof(*w->direct));
        for (u32 k = 0; k < n; k++)
            for (gpa a = r[k].start; a <= r[k].last; a++)
                w->direct[a] = r[k].m;
    }
}

void space_begin(struct space *sp)
{
    sp->depth++;
}

void space_commit(struct space *sp)
{
    CHECK(sp->depth > 0);
    if (--sp->depth || !sp->changed)
        return;
    sp->changed = false;
    flatten(sp, 0);
    flatten(sp, 1);
    if (sp->listener)
        sp->listener(sp->listener_ctx);
}

static void change(struct space *sp)
{
    sp->changed = true;
    space_begin(sp);
    space_commit(sp);
}

void space_set_listener(struct space *sp, void (*fn)(void *), void *ctx)
{
    sp->listener = fn;
    sp->listener_ctx = ctx;
}

/* ---- mapping ------------------------------------------------------------------------------- */
static struct mapping *map(struct space *sp, struct mapping proto)
{
    struct mapping *m = malloc(sizeof(*m));
    CHECK(m);
    *m = proto;
    m->sp = sp;
    m->seq = ++sp->seq;
    m->on = true;
    m->next = sp->maps;
    sp->maps = m;
    sp->n_maps++;
    change(sp);
    return m;
}

struct mapping *space_map_ram(struct space *sp, gpa addr, u64 size, struct ram *ram, u64 ram_off,
                              int flags, int prio)
{
    CHECK(!((addr | size | ram_off) & ~PAGE_MASK) && ram_off <= ram->size &&
          size <= ram->size - ram_off);
    return map(sp, (struct mapping){.addr = addr,
                                    .size = size,
                                    .prio = prio,
                                    .flags = flags,
                                    .host = ram->base + ram_off,
                                    .ram = ram,
                                    .ram_off = ram_off});
}

struct mapping *space_map_rom(struct space *sp, gpa addr, u64 size, const u8 *host, int prio)
{
    CHECK(!((addr | size) & ~PAGE_MASK));
    return map(sp, (struct mapping){.addr = addr,
                                    .size = size,
                                    .prio = prio,
                                    .flags = MAP_RW | MAP_ROM,
                                    .host = (hva)(uintptr_t)host});
}

struct mapping *space_map_io(struct space *sp, gpa addr, u64 size, struct device *dev, int region,
                             int max_size, int prio)
{
    return map(sp, (struct mapping){.addr = addr,
                                    .size = size,
                                    .prio = prio,
                                    .flags = MAP_RW,
                                    .dev = dev,
                                    .region = region,
                                    .max_size = max_size});
}

void space_unmap(struct mapping *m)
{
    if (!m)
        return;
    struct space *sp = m->sp;
    for (struct mapping **p = &sp->maps; *p; p = &(*p)->next) {
        if (*p == m) {
            *p = m->next;
            break;
        }
    }
    sp->n_maps--;
    /* the views must not keep it, even inside begin/commit */
    flatten(sp, 0);
    flatten(sp, 1);
    free(m);
    change(sp);
}

void space_enable(struct mapping *m, bool on)
{
    if (m->on != on) {
        m->on = on;
        change(m->sp);
    }
}

void space_move(struct mapping *m, gpa addr)
{
    if (m->addr != addr) {
        m->addr = addr;
        change(m->sp);
    }
}

void space_set_flags(struct mapping *m, int flags)
{
    if (m->flags != flags) {
        m->flags = flags;
        change(m->sp);
    }
}

/* ---- look-up ------------------------------------------------------------------------------- */
/* The first range that does not end before addr; w->n: none. */
static u32 range_from(const struct view *w, gpa addr)
{
    u32 lo = 0, hi = w->n;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (w->r[mid].last < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static const struct range *find_range(const struct view *w, gpa addr)
{
    u32 k = range_from(w, addr);
    return k < w->n && w->r[k].start <= addr ? &w->r[k] : NULL;
}

/* How many bytes from addr on nothing answers, at most len. A transfer of gigabytes to nowhere must
 * not take long. */
static u64 gap_at(const struct view *w, gpa addr, u64 len)
{
    u32 k = range_from(w, addr);
    if (k == w->n)
        return len;
    return w->r[k].start > addr ? MIN(len, w->r[k].start - addr) : 0;
}

static struct mapping *find(const struct space *sp, int v, gpa addr)
{
    const struct view *w = &sp->view[v];
    if (w->direct)
        return addr < sp->size ? w->direct[addr] : NULL;
    const struct range *r = find_range(w, addr);
    return r ? r->m : NULL;
}

/* Whether [addr, addr+size) lies in one range of the view: then its mapping. size >= 1. */
static struct mapping *find_whole(const struct space *sp, int v, gpa addr, u64 size)
{
    const struct view *w = &sp->view[v];
    if (!w->direct) {
        const struct range *r = find_range(w, addr);
        return r && r->last - addr >= size - 1 ? r->m : NULL;
    }
    struct mapping *m = find(sp, v, addr);
    for (u64 k = 1; m && k < size; k++)
        if (find(sp, v, addr + k) != m)
            return NULL;
    return m;
}

/* ---- access -------------------------------------------------------------------------------- */
typedef u64 dev_read_fn(struct device *, int, u64, int);

static u64 read_one(struct mapping *m, gpa addr, int size, bool peek)
{
    u64 off = addr - m->addr;
    if (m->host)
        return ld_le(m->host + off, size);
    struct device *dev = m->dev;
    dev_read_fn *fn = peek ? dev->ops->peek : dev->ops->read;
    int region = m->region, step = MIN(size, m->max_size);
    u64 v = 0;
    if (!fn)
        return peek ? 0 : size_mask(size);
    for (int k = 0; k < size; k += step)
        v |= (fn(dev, region, off + (u64)k, step) & size_mask(step)) << (8 * k);
    return v;
}

static u64 read_any(struct space *sp, gpa addr, int size, bool peek)
{
    struct mapping *m = size == 1 ? find(sp, 0, addr) : find_whole(sp, 0, addr, (u64)size);
    if (likely(m != NULL))
        return read_one(m, addr, size, peek);
    u64 v = 0;
    for (int k = 0; k < size; k++) {
        m = find(sp, 0, addr + (u64)k);
        v |= (m ? read_one(m, addr + (u64)k, 1, peek) & 0xff : 0xffull) << (8 * k);
    }
    return v;
}

u64 space_read(struct space *sp, gpa addr, int size)
{
    return read_any(sp, addr, size, false);
}

u64 space_peek(struct space *sp, gpa addr, int size)
{
    return read_any(sp, addr, size, true);
}

static void write_one(struct mapping *m, gpa addr, u64 val, int size)
{
    u64 off = addr - m->addr;
    if (m->flags & MAP_ROM)
        return;
    if (m->host) {
        st_le(m->host + off, val, size);
        ram_note_write(m->ram, m->ram_off + off, (u64)size);
        return;
    }
    struct device *dev = m->dev;
    int region = m->region, step = MIN(size, m->max_size);
    if (!dev->ops->write)
        return;
    for (int k = 0; k < size; k += step)
        dev->ops->write(dev, region, off + (u64)k, (val >> (8 * k)) & size_mask(step), step);
}

void space_write(struct space *sp, gpa addr, u64 val, int size)
{
    struct mapping *m = size == 1 ? find(sp, 1, addr) : find_whole(sp, 1, addr, (u64)size);
    if (likely(m != NULL)) {
        write_one(m, addr, val, size);
        return;
    }
    for (int k = 0; k < size; k++) {
        m = find(sp, 1, addr + (u64)k);
        if (m)
            write_one(m, addr + (u64)k, val >> (8 * k) & 0xff, 1);
    }
}

/* ---- bulk ---------------------------------------------------------------------------------- */
static int io_step(gpa addr, u64 len)
{
    return len >= 4 && !(addr & 3) ? 4 : len >= 2 && !(addr & 1) ? 2 : 1;
}

void space_read_bulk(struct space *sp, gpa addr, void *buf, u64 len)
{
    u8 *out = buf;
    while (len) {
        const struct range *r = find_range(&sp->view[0], addr);
        u64 n;
        if (r && r->m->host) {
            n = MIN(len, r->last - addr + 1);
            memcpy(out, r->m->host + (addr - r->m->addr), n);
        } else if ((n = gap_at(&sp->view[0], addr, len))) {
            memset(out, 0xff, n);
        } else {
            n = (u64)io_step(addr, len);
            st_le(out, space_read(sp, addr, (int)n), (int)n);
        }
        out += n;
        addr += n;
        len -= n;
    }
}

void space_write_bulk(struct space *sp, gpa addr, const void *buf, u64 len)
{
    const u8 *in = buf;
    while (len) {
        const struct range *r = find_range(&sp->view[1], addr);
        u64 n;
        if (r && r->m->host) {
            n = MIN(len, r->last - addr + 1);
            if (!(r->m->flags & MAP_ROM)) {
                u64 off = addr - r->m->addr;
                memcpy(r->m->host + off, in, n);
                ram_note_write(r->m->ram, r->m->ram_off + off, n);
            }
        } else if (!(n = gap_at(&sp->view[1], addr, len))) {
            n = (u64)io_step(addr, len);
            space_write(sp, addr, ld_le(in, (int)n), (int)n);
        }
        in += n;
        addr += n;
        len -= n;
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */
static struct mapping *page_in(const struct view *w, gpa page)
{
    const struct range *r = find_range(w, page);
    return r && r->last >= page + PAGE_SIZE - 1 && r->m->host ? r->m : NULL;
}

struct page_info space_find(struct space *sp, gpa addr)
{
    gpa page = addr & PAGE_MASK;
    struct page_info pi = {0};
    struct mapping *rd = page_in(&sp->view[0], page);
    struct mapping *wr = page_in(&sp->view[1], page);

    if (rd) {
        pi.read = rd->host + (page - rd->addr);
        pi.ram = rd->ram;
        pi.ram_off = rd->ram_off + (page - rd->addr);
    }
    if (wr && !(wr->flags & MAP_ROM)) {
        pi.write = wr->host + (page - wr->addr);
        pi.ram = wr->ram;
        pi.ram_off = wr->ram_off + (page - wr->addr);
    }
    return pi;
}

bool space_find_span(struct space *sp, gpa addr, struct space_span *out)
{
    const struct range *r = find_range(&sp->view[0], addr);
    const struct range *w = find_range(&sp->view[1], addr);
    if (!r || !w || r->m != w->m || !r->m->ram || (r->m->flags & MAP_ROM))
        return false;
    gpa first = MAX(r->start, w->start);
    u64 off = first - r->m->addr;
    *out = (struct space_span){.first = first,
                               .size = MIN(r->last, w->last) - first + 1,
                               .host = r->m->host + off,
                               .ram = r->m->ram,
                               .ram_off = r->m->ram_off + off};
    return true;
}

hva space_ram_ptr(struct space *sp, gpa addr, u64 len, struct ram **ram, u64 *ram_off)
{
    const struct range *r = find_range(&sp->view[0], addr);
    const struct range *w = find_range(&sp->view[1], addr);
    if (!len || !r || !w || r->m != w->m || !r->m->ram || (r->m->flags & MAP_ROM))
        return NULL;
    gpa last = MIN(r->last, w->last);
    if (addr > last || len - 1 > last - addr)
        return NULL;
    u64 off = addr - r->m->addr;
    if (ram)
        *ram = r->m->ram;
    if (ram_off)
        *ram_off = r->m->ram_off + off;
    return r->m->host + off;
}
