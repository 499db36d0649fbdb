/* tests/virtio/test_queue.c - rings, good and hostile, through the MMIO transport. */
#include "tests/virtio/rig.h"
#include "devices/virtio/rng.h"

/* A toy that answers each request with the bytes it was sent. */
struct echo {
    struct virtio_dev v;
    struct virtq_elem e;
    int popped, n_out, n_in, resets;
    bool hold; /* takes nothing */
};

static void echo_notify(struct virtio_dev *v, int q)
{
    struct echo *s = (struct echo *)v;
    u8 buf[256];
    while (!s->hold && virtq_pop(&v->vq[q], &s->e)) {
        size_t n = virtq_read(&s->e, 0, buf, sizeof(buf));
        s->popped++;
        s->n_out = s->e.n_out;
        s->n_in = s->e.n_in;
        virtq_push(&v->vq[q], &s->e, virtq_write(&s->e, 0, buf, n));
    }
    virtq_notify(&v->vq[q]);
}

static void echo_config(struct virtio_dev *v, u8 *cfg)
{
    st_u32(cfg, 0x11223344);
}

static void echo_reset(struct virtio_dev *v)
{
    ((struct echo *)v)->resets++;
}

static void echo_destroy(struct device *d)
{
    free(d);
}

static const struct field echo_state[] = {VIRTIO_FIELDS(struct echo, v), FIELD_END};
static const struct device_ops echo_dev = {.name = "echo",
                                           .reset = virtio_dev_reset,
                                           .state = echo_state,
                                           .loaded = virtio_dev_loaded,
                                           .destroy = echo_destroy};
static const struct virtio_dev_ops echo_ops = {
    .id = 42, .config_size = 6, .config = echo_config, .notify = echo_notify, .reset = echo_reset};

static struct echo *setup(struct rig *r)
{
    struct echo *s = calloc(1, sizeof(*s));
    virtio_init(&s->v, &echo_dev, &echo_ops, 2, 64);
    rig_init(r, &s->v);
    return s;
}

static u64 text(struct rig *r, const char *s)
{
    u64 at = rig_alloc(r, strlen(s) + 1);
    strcpy((char *)rig_ptr(r, at), s);
    return at;
}

Test(virtq, a_request_and_its_answer)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    u64 in = rig_alloc(&r, 64);
    struct seg segs[] = {{text(&r, "hello "), 6, false},
                         {text(&r, "world"), 5, false},
                         {in, 4, true},
                         {in + 10, 20, true}};
    cr_assert_eq(rig_do(&r, 0, segs, 4), 11);
    cr_assert_eq(s->n_out, 2);
    cr_assert_eq(s->n_in, 2);
    cr_assert(!memcmp(rig_ptr(&r, in), "hell", 4));
    cr_assert(!memcmp(rig_ptr(&r, in + 10), "o world", 7));
    cr_assert(r.level && rig_reg(&r, MMIO_ISR) == 1);
    rig_set(&r, MMIO_ACK, 1);
    cr_assert(!r.level);
    rig_free(&r);
}

Test(virtq, the_ring_wraps)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    u64 at = text(&r, "x");
    for (int k = 0; k < 70000; k++) /* also over the 16-bit index */
        rig_do(&r, 1, (struct seg[]){{at, 1, false}, {at, 1, true}}, 2);
    cr_assert_eq(s->popped, 70000);
    rig_free(&r);
}

Test(virtq, indirect)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    u64 table = rig_alloc(&r, 64 * 16), a = text(&r, "abcdef"), in = rig_alloc(&r, 64);
    for (u16 k = 0; k < 5; k++)
        rig_desc(&r, table, k, a + k, 1, D_NEXT, k + 1);
    rig_desc(&r, table, 5, in, 64, D_WRITE, 77);
    rig_desc(&r, r.q[0].desc, 3, table, 6 * 16, D_INDIRECT, 0);
    rig_avail(&r, 0, 3);
    rig_kick(&r, 0);
    u32 id, len;
    cr_assert(rig_used(&r, 0, &id, &len));
    cr_assert(id == 3 && len == 5 && s->n_out == 5);
    cr_assert(!memcmp(rig_ptr(&r, in), "abcde", 5));
    rig_free(&r);
}

Test(virtq, a_device_may_put_a_request_back)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    s->hold = true;
    u64 a = text(&r, "1");
    rig_add(&r, 0, (struct seg[]){{a, 1, false}, {a, 1, true}}, 2);
    rig_kick(&r, 0);
    struct virtqueue *vq = &s->v.vq[0];
    cr_assert(virtq_pending(vq));
    cr_assert(virtq_pop(vq, &s->e));
    cr_assert(!virtq_pending(vq) && !virtq_pop(vq, &s->e));
    virtq_unpop(vq);
    cr_assert(virtq_pop(vq, &s->e));
    cr_assert_eq(s->e.out_len, 1);
    virtq_push(vq, &s->e, 0);
    virtq_notify(vq);
    cr_assert(rig_used(&r, 0, NULL, NULL) && r.irqs == 1);
    rig_free(&r);
}

/* ---- interrupts --------------------------------------------------------------------------------
 */
Test(virtq, the_driver_can_refuse_interrupts)
{
    struct rig r;
    setup(&r);
    rig_start(&r, RIG_FEATURES);
    u64 a = text(&r, "1");
    struct seg s[] = {{a, 1, false}, {a, 1, true}};
    st_u16(rig_ptr(&r, r.q[0].avail), 1); /* NO_INTERRUPT */
    rig_do(&r, 0, s, 2);
    cr_assert_eq(r.irqs, 0);
    st_u16(rig_ptr(&r, r.q[0].avail), 0);
    rig_do(&r, 0, s, 2);
    cr_assert_eq(r.irqs, 1);
    rig_kick(&r, 0); /* nothing new */
    rig_set(&r, MMIO_ACK, 1);
    rig_kick(&r, 0);
    cr_assert_eq(r.irqs, 1);
    rig_free(&r);
}

Test(virtq, event_indexes)
{
    struct rig r;
    setup(&r);
    rig_start(&r, ~0ull);
    u64 a = text(&r, "1"), used_event = r.q[0].avail + 4 + 2 * RIG_SIZE;
    u64 avail_event = r.q[0].used + 4 + 8 * RIG_SIZE;
    struct seg s[] = {{a, 1, false}, {a, 1, true}};
    /* the first decision is always an interrupt; then only when the index named is passed */
    for (int k = 0; k < 7; k++) {
        st_u16(rig_ptr(&r, used_event), 4);
        rig_do(&r, 0, s, 2);
        rig_set(&r, MMIO_ACK, 1);
        cr_assert_eq(r.irqs, k < 4 ? 1 : 2, "after %d", k + 1);
        cr_assert_eq(ld_u16(rig_ptr(&r, avail_event)), k + 1);
    }
    /* NO_INTERRUPT means nothing now */
    st_u16(rig_ptr(&r, r.q[0].avail), 1);
    st_u16(rig_ptr(&r, used_event), 7);
    rig_do(&r, 0, s, 2);
    cr_assert_eq(r.irqs, 3);
    rig_free(&r);
}

/* ---- hostile rings ------------------------------------------------------------------------------
 */
struct bad {
    const char *name;
    void (*make)(struct rig *r, u64 a);
};

static void bad_loop(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 1, D_NEXT, 1);
    rig_desc(r, r->q[0].desc, 1, a, 1, D_NEXT, 0);
}
static void bad_next(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 1, D_NEXT, RIG_SIZE);
}
static void bad_address(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, RIG_HOLE, 1, 0, 0);
}
static void bad_address_high(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, ~0ull, 16, 0, 0);
}
static void bad_device_memory(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, RIG_MMIO, 4, D_WRITE, 0);
}
static void bad_end(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, RIG_RAM - 4, 5, 0, 0);
}
static void bad_zero(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 0, 0, 0);
}
static void bad_huge(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 0xffffffff, 0, 0);
}
static void bad_order(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 1, D_NEXT | D_WRITE, 1);
    rig_desc(r, r->q[0].desc, 1, a, 1, 0, 0);
}
static void bad_head(struct rig *r, u64 a)
{
    st_u16(rig_ptr(r, r->q[0].avail) + 4, RIG_SIZE);
}
static void bad_index(struct rig *r, u64 a)
{
    st_u16(rig_ptr(r, r->q[0].avail) + 2, RIG_SIZE + 1);
}
static void bad_indirect_length(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 24, D_INDIRECT, 0);
}
static void bad_indirect_empty(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, a, 0, D_INDIRECT, 0);
}
static void bad_indirect_address(struct rig *r, u64 a)
{
    rig_desc(r, r->q[0].desc, 0, RIG_HOLE, 32, D_INDIRECT, 0);
}
static void bad_indirect_next(struct rig *r, u64 a)
{
    rig_desc(r, a, 0, a, 1, 0, 0);
    rig_desc(r, r->q[0].desc, 0, a, 16, D_INDIRECT | D_NEXT, 1);
}
static void bad_indirect_twice(struct rig *r, u64 a)
{
    rig_desc(r, a, 0, a, 16, D_INDIRECT, 0);
    rig_desc(r, r->q[0].desc, 0, a, 16, D_INDIRECT, 0);
}
static void bad_indirect_loop(struct rig *r, u64 a)
{
    rig_desc(r, a, 0, a, 1, D_NEXT, 0);
    rig_desc(r, r->q[0].desc, 0, a, 16, D_INDIRECT, 0);
}
static void bad_indirect_beyond(struct rig *r, u64 a)
{
    rig_desc(r, a, 0, a, 1, D_NEXT, 1);
    rig_desc(r, r->q[0].desc, 0, a, 16, D_INDIRECT, 0);
}

static const struct bad bads[] = {
    {"loop", bad_loop},
    {"next beyond the table", bad_next},
    {"address of nothing", bad_address},
    {"address that wraps", bad_address_high},
    {"device registers", bad_device_memory},
    {"over the end of RAM", bad_end},
    {"length 0", bad_zero},
    {"length 4 GiB - 1", bad_huge},
    {"readable after writable", bad_order},
    {"head beyond the table", bad_head},
    {"available index", bad_index},
    {"indirect table of 24 bytes", bad_indirect_length},
    {"indirect table of 0 bytes", bad_indirect_empty},
    {"indirect table nowhere", bad_indirect_address},
    {"indirect with next", bad_indirect_next},
    {"indirect in indirect", bad_indirect_twice},
    {"loop in indirect", bad_indirect_loop},
    {"next beyond the indirect table", bad_indirect_beyond},
};

Test(virtq, hostile_rings_break_the_device_and_nothing_else)
{
    for (size_t k = 0; k < ARRAY_LEN(bads); k++) {
        struct rig r;
        struct echo *s = setup(&r);
        rig_start(&r, RIG_FEATURES);
        u64 a = rig_alloc(&r, 4096), t = text(&r, "ok");
        rig_desc(&r, r.q[0].desc, 0, a, 1, 0, 0);
        rig_avail(&r, 0, 0);
        bads[k].make(&r, a);
        rig_kick(&r, 0);
        cr_assert(rig_broken(&r), "%s", bads[k].name);
        cr_assert_eq(rig_reg(&r, MMIO_ISR), 2, "%s: a configuration interrupt", bads[k].name);
        cr_assert_eq(s->popped, 0, "%s", bads[k].name);
        /* dead until a reset, which the driver's status writes cannot avoid */
        rig_set(&r, MMIO_STATUS, 0xf);
        cr_assert(rig_broken(&r));
        rig_add(&r, 1, (struct seg[]){{t, 2, false}, {t, 2, true}}, 2);
        rig_kick(&r, 1);
        cr_assert_eq(s->popped, 0, "%s", bads[k].name);
        rig_start(&r, RIG_FEATURES);
        cr_assert(!rig_broken(&r) && !r.level);
        cr_assert_eq(rig_do(&r, 0, (struct seg[]){{t, 2, false}, {t, 2, true}}, 2), 2);
        rig_free(&r);
    }
}

Test(virtq, rings_that_are_nowhere)
{
    for (u32 part = 0x80; part <= 0xa0; part += 0x10) {
        struct rig r;
        struct echo *s = setup(&r);
        rig_start(&r, RIG_FEATURES);
        u64 a = text(&r, "x");
        rig_set(&r, 0x30, 0);
        rig_set(&r, 0x44, 0);
        rig_set64(&r, part, RIG_RAM - 16); /* begins in RAM and ends outside */
        rig_set(&r, 0x44, 1);
        rig_add(&r, 0, (struct seg[]){{a, 1, false}, {a, 1, true}}, 2);
        rig_kick(&r, 0);
        cr_assert(rig_broken(&r), "part %x", part);
        cr_assert(s->popped <= 1);
        rig_free(&r);
    }
}

Test(virtq, rings_that_are_not_aligned)
{
    struct rig r;
    setup(&r);
    rig_start(&r, RIG_FEATURES);
    rig_set(&r, 0x44, 0);
    rig_set64(&r, 0x90, 0x1001);
    rig_set(&r, 0x44, 1);
    cr_assert(rig_broken(&r) && !rig_reg(&r, 0x44));
    rig_free(&r);
}

Test(virtq, long_chains)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    u64 table = rig_alloc(&r, 300 * 16), a = text(&r, "x");
    for (int n = VIRTQ_SEGS; n <= VIRTQ_SEGS + 1; n++) {
        for (u16 k = 0; k < n; k++)
            rig_desc(&r, table, k, a, 1, k < n - 1 ? D_NEXT : 0, k + 1);
        rig_desc(&r, r.q[0].desc, 0, table, (u32)n * 16, D_INDIRECT, 0);
        rig_avail(&r, 0, 0);
        rig_kick(&r, 0);
        cr_assert_eq(rig_broken(&r), n > VIRTQ_SEGS);
    }
    cr_assert_eq(s->popped, 1);
    rig_free(&r);
}

Test(virtq, indirect_only_if_negotiated)
{
    struct rig r;
    setup(&r);
    rig_start(&r, BIT64(VIRTIO_F_VERSION_1));
    u64 table = rig_alloc(&r, 16);
    rig_desc(&r, table, 0, table, 1, 0, 0);
    rig_desc(&r, r.q[0].desc, 0, table, 16, D_INDIRECT, 0);
    rig_avail(&r, 0, 0);
    rig_kick(&r, 0);
    cr_assert(rig_broken(&r));
    rig_free(&r);
}

/* ---- what is written is noted
 * --------------------------------------------------------------------- */
static int noted;
static void note_code(void *ctx, u64 off, u32 len)
{
    noted++;
}

Test(virtq, writes_mark_pages)
{
    struct rig r;
    setup(&r);
    rig_start(&r, RIG_FEATURES);
    r.heap = align_up(r.heap, 4096);
    u64 out = text(&r, "12345678");
    r.heap = align_up(r.heap, 4096);
    u64 in = rig_alloc(&r, 3 * 4096);
    r.ram->code_write = note_code;
    r.ram->page_flags[in >> 12] = RAM_CLEAN | RAM_CODE;
    r.ram->page_flags[(in >> 12) + 1] = RAM_CLEAN;
    r.ram->page_flags[(in >> 12) + 2] = RAM_CLEAN;
    r.ram->page_flags[r.q[0].used >> 12] |= RAM_CLEAN;
    rig_do(&r, 0,
           (struct seg[]){{out, 8, false}, {in + 4092, 4 + 4096, true}, {in + 8192, 9, true}}, 3);
    cr_assert_eq(noted, 1);
    cr_assert_eq(r.ram->page_flags[in >> 12], RAM_CODE);
    cr_assert_eq(r.ram->page_flags[(in >> 12) + 1], 0);
    cr_assert_eq(r.ram->page_flags[(in >> 12) + 2], RAM_CLEAN, "not written");
    cr_assert(!(r.ram->page_flags[r.q[0].used >> 12] & RAM_CLEAN));
    rig_free(&r);
}

/* ---- the common half
 * -------------------------------------------------------------------------------- */
Test(virtio, features_and_status)
{
    struct rig r;
    struct echo *s = setup(&r);
    cr_assert_eq(rig_reg(&r, 0x00), 0x74726976);
    cr_assert_eq(rig_reg(&r, 0x04), 2);
    cr_assert_eq(rig_reg(&r, 0x08), 42);
    /* a driver of 1.0 must accept VERSION_1 */
    rig_set(&r, MMIO_STATUS, 3);
    rig_set(&r, MMIO_STATUS, 11);
    cr_assert_eq(rig_reg(&r, MMIO_STATUS), 3);
    rig_set(&r, 0x24, 1);
    rig_set(&r, 0x20, ~0u);
    cr_assert_eq(s->v.features, BIT64(VIRTIO_F_VERSION_1), "only what is offered");
    rig_set(&r, MMIO_STATUS, 11);
    cr_assert_eq(rig_reg(&r, MMIO_STATUS), 11);
    rig_set(&r, 0x20, 0); /* too late */
    cr_assert(virtio_has(&s->v, VIRTIO_F_VERSION_1));
    int n = s->resets;
    rig_set(&r, MMIO_STATUS, 0);
    cr_assert_eq(s->resets, n + 1);
    cr_assert_eq(s->v.features, 0);
    rig_free(&r);
}

Test(virtio, queue_sizes)
{
    struct rig r;
    struct echo *s = setup(&r);
    static const u32 refused[] = {0, 3, 128, 65536, 0x80000000};
    for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
        rig_set(&r, 0x38, refused[k]);
        cr_assert_eq(s->v.regs[0].size, 64);
    }
    rig_set(&r, 0x38, 1);
    cr_assert_eq(s->v.regs[0].size, 1);
    static const u32 none[] = {2, VIRTIO_QUEUES, 0xffffffff};
    for (size_t k = 0; k < ARRAY_LEN(none); k++) {
        rig_set(&r, 0x30, none[k]);
        cr_assert_eq(rig_reg(&r, 0x34), 0);
        rig_set(&r, 0x44, 1);
        rig_set64(&r, 0x80, ~0ull);
        cr_assert_eq(rig_reg(&r, 0x44), 0);
        rig_set(&r, MMIO_NOTIFY, none[k]);
    }
    rig_free(&r);
}

Test(virtio, configuration)
{
    struct rig r;
    setup(&r);
    cr_assert_eq(rig_reg(&r, 0x100), 0x11223344);
    cr_assert_eq(space_read(r.mem, RIG_MMIO + 0x103, 1), 0x11);
    cr_assert_eq(rig_reg(&r, 0x104), 0);
    cr_assert_eq(rig_reg(&r, 0x1fc), 0);
    cr_assert_eq(space_read(r.mem, RIG_MMIO + 0x101, 2), 0x2233);
    rig_start(&r, RIG_FEATURES);
    u32 before = rig_reg(&r, 0xfc);
    virtio_config_changed(r.v);
    cr_assert_eq(rig_reg(&r, 0xfc), before + 1);
    cr_assert_eq(rig_reg(&r, MMIO_ISR), 2);
    rig_free(&r);
}

Test(virtio, hostile_saved_state)
{
    struct rig r;
    struct echo *s = setup(&r);
    rig_start(&r, RIG_FEATURES);
    memset(s->v.regs, 0xa5, sizeof(s->v.regs));
    s->v.features = ~0ull;
    cr_assert(virtio_dev_loaded(&s->v.dev));
    cr_assert_eq(s->v.features, s->v.offered);
    cr_assert_eq(s->v.regs[0].size, 64);
    rig_kick(&r, 0);
    s->v.regs[0].ready = 1;
    s->v.regs[0].avail = 0x1001;
    cr_assert(virtio_dev_loaded(&s->v.dev) && !s->v.regs[0].ready);
    rig_free(&r);
}

/* ---- rng
 * ------------------------------------------------------------------------------------------- */
Test(virtio_rng, fills_buffers)
{
    u8 first[64];
    for (int fixed = 0; fixed < 2; fixed++) {
        for (int again = 0; again < 2; again++) {
            struct rig r;
            rig_init(&r, virtio_rng_new(fixed));
            rig_start(&r, ~0ull);
            u64 a = rig_alloc(&r, 64), b = rig_alloc(&r, 1000);
            cr_assert_eq(rig_do(&r, 0, (struct seg[]){{a, 64, true}}, 1), 64);
            cr_assert_eq(rig_do(&r, 0, (struct seg[]){{b, 500, true}, {b + 500, 500, true}}, 2),
                         1000);
            cr_assert(memcmp(rig_ptr(&r, a), rig_ptr(&r, b), 64));
            if (again)
                cr_assert_eq(!memcmp(first, rig_ptr(&r, a), 64), fixed);
            memcpy(first, rig_ptr(&r, a), 64);
            /* a buffer to read from is of no use: given back empty */
            cr_assert_eq(rig_do(&r, 0, (struct seg[]){{a, 64, false}}, 1), 0);
            rig_free(&r);
        }
    }
}
