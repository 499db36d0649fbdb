/*
 * frontends/compare/measure.c - one machine does one kind of work one way, and is measured.
 *
 * The guest (roms/compare) writes marks to its debug console: B and E around each timed run, L and
 * M around each whose exits are booked, then its checksum. They arrive here in the middle of its
 * OUT instructions, on the VM's thread, so nothing of start, loading and warm-up is counted. Time
 * is that thread's CPU time: what the work takes of the host, whatever else the host does.
 */
#include "frontends/compare/compare_priv.h"
#include "roms/compare/compare_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { DISK = 4 << 20, RAM = 32 << 20, SAID = 64, FRAMES = 64 };

struct session {
    struct chardev marks, text; /* the guest's debug console and its serial port */
    struct netdev net;          /* its cable, whose other end sends every frame back */
    struct {
        size_t len;
        u8 bytes[NET_FRAME_MAX];
    } frame[FRAMES];
    u32 n_sent, n_back;
    bool asked;
    struct vm *vm;
    struct measured *m;
    struct vm_stats before;
    u64 cpu_before, wall_before;
    bool timing;
    char said[SAID]; /* what follows the marks */
    u32 n_said;
};

static u64 clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static void begin(struct session *s)
{
    vm_stats(s->vm, &s->before);
    s->timing = !s->m->cpu_ns; /* the first round's text stands for all */
    s->wall_before = clock_ns(CLOCK_MONOTONIC);
    s->cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The fastest of the rounds is the least disturbed. */
static void end(struct session *s)
{
    struct measured *m = s->m;
    struct vm_stats after;
    u64 cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - s->cpu_before;
    u64 wall_ns = clock_ns(CLOCK_MONOTONIC) - s->wall_before;
    vm_stats(s->vm, &after);
    s->timing = false;
    if (m->cpu_ns && m->cpu_ns <= cpu_ns)
        return;
    m->cpu_ns = cpu_ns;
    m->wall_ns = wall_ns;
    m->insns = after.insns - s->before.insns;
    m->tlb_misses = after.tlb_misses - s->before.tlb_misses;
}

static void end_ledger(struct session *s)
{
    struct measured *m = s->m;
    struct vm_ledger now;
    u64 cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - s->cpu_before;
    vm_ledger(s->vm, &now);
    for (int k = 0; k < VM_EXIT_CAUSES; k++)
        if (!m->ledger_ns || now.row[k].ns < m->ledger.row[k].ns)
            m->ledger.row[k] = now.row[k];
    m->ledger_ns = m->ledger_ns ? MIN(m->ledger_ns, cpu_ns) : cpu_ns;
}

static void on_mark(struct chardev *c, const u8 *buf, size_t len)
{
    struct session *s = container_of(c, struct session, marks);
    for (size_t k = 0; k < len; k++) {
        switch (buf[k]) {
        case 'B':
            begin(s);
            break;
        case 'E':
            end(s);
            break;
        case 'L':
            s->cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
            vm_ledger_start(s->vm);
            break;
        case 'M':
            end_ledger(s);
            break;
        default:
            if (buf[k] != '\n' && s->n_said < SAID - 1)
                s->said[s->n_said++] = (char)buf[k];
        }
    }
}

static void on_text(struct chardev *c, const u8 *buf, size_t len)
{
    struct session *s = container_of(c, struct session, text);
    if (!s->timing)
        return;
    for (size_t k = 0; k < len; k++)
        s->m->text_sum = (s->m->text_sum ^ buf[k]) * 0x100000001b3u;
    s->m->text_bytes += len;
}

static const struct chardev_ops mark_ops = {.write = on_mark}, text_ops = {.write = on_text};

/* ---- the cable: what is sent comes back when the sender is out of the way ----------------------
 */
static void frames_back(void *ctx, const void *data, u32 len)
{
    struct session *s = *(struct session *const *)data;
    (void)ctx;
    (void)len;
    s->asked = false;
    while (s->n_back != s->n_sent && s->net.can_receive(s->net.ctx)) {
        u32 k = s->n_back++ % FRAMES;
        s->net.recv(s->net.ctx, s->frame[k].bytes, s->frame[k].len);
    }
}

static void cable_ask(struct session *s)
{
    if (!s->asked && s->n_back != s->n_sent)
        s->asked = vm_post(s->vm, frames_back, NULL, &s, sizeof(s));
}

static void cable_send(struct netdev *n, const u8 *frame, size_t len)
{
    struct session *s = container_of(n, struct session, net);
    if (s->n_sent - s->n_back == FRAMES)
        return; /* lost */
    u32 k = s->n_sent++ % FRAMES;
    memcpy(s->frame[k].bytes, frame, len);
    s->frame[k].len = len;
    cable_ask(s);
}

static void cable_resume(struct netdev *n)
{
    cable_ask(container_of(n, struct session, net));
}

static const struct netdev_ops cable_ops = {.send = cable_send, .resume = cable_resume};

/* The guest as a file, which is how kernels are given to a machine. */
static int image_file(char *path, size_t size)
{
    int fd = memfd_create("compare", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write(fd, compare_image, sizeof(compare_image)) != (ssize_t)sizeof(compare_image)) {
        close(fd);
        return -1;
    }
    snprintf(path, size, "/proc/self/fd/%d", fd);
    return fd;
}

/* The sum, 16 digits, and "done". */
static enum status take_report(struct session *s, struct error *err)
{
    if (s->n_said != 20 || strcmp(s->said + 16, "done"))
        return fail(err, ST_FORMAT, "the guest did not finish%s%s", s->n_said ? ": " : "", s->said);
    s->said[16] = 0;
    s->m->sum = strtoull(s->said, NULL, 16);
    return ST_OK;
}

static enum status run(struct session *s, const struct measure_config *c, struct vm_config *cfg,
                       struct error *err)
{
    struct block *disk = block_new_mem(DISK);
    bool trv = !strcmp(c->how, "trv"), virtio = !strcmp(c->how, "virtio");
    if (!disk)
        return fail(err, ST_NOMEM, "out of memory");
    if (trv)
        cfg->pv_disk[0] = disk;
    else if (virtio)
        cfg->virtio.disk[0].block = disk;
    else
        cfg->ide[0].block = disk;
    enum status st = vm_new(cfg, &s->vm, err);
    if (st) {
        block_close(disk);
        return st;
    }
    enum vm_stop why = vm_run(s->vm, err);
    if (why == VM_STOP_POWEROFF)
        st = take_report(s, err);
    else if (why == VM_STOP_REQUEST)
        st = fail(err, ST_IO, "interrupted");
    else if (why != VM_STOP_ERROR)
        st = fail(err, ST_FORMAT, "the guest crashed");
    else
        st = ST_IO;
    vm_free(s->vm);
    return st;
}

enum status measure(const struct measure_config *c, struct measured *out, struct error *err)
{
    static const u8 mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    bool virtio = !strcmp(c->how, "virtio");
    struct vm_config cfg;
    struct error why = {{0}};
    char path[64], append[64];
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return fail(err, ST_NOMEM, "out of memory");
    *s = (struct session){.marks = {.ops = &mark_ops},
                          .text = {.ops = &text_ops},
                          .net = {.ops = &cable_ops},
                          .m = out};
    int fd = image_file(path, sizeof(path));
    *out = (struct measured){
        .engine = c->engine, .pv = c->pv, .own_way = strcmp(c->how, "hardware") != 0};
    if (fd < 0) {
        free(s);
        return fail(err, status_from_errno(errno), "cannot make a file in memory: %s",
                    strerror(errno));
    }
    snprintf(append, sizeof(append), "%s %u %s", c->w->name, c->count, c->how);
    vm_config_init(&cfg);
    cfg.engine = c->engine;
    cfg.pv = strcmp(c->pv, "virtio") ? c->pv : "none";
    cfg.ram_size = RAM;
    cfg.vgabios_path = "";
    cfg.kernel_path = path;
    cfg.append = append;
    cfg.serial[0] = &s->text;
    cfg.debugcon = &s->marks;
    if (!strcmp(c->w->name, "network")) {
        cfg.nic[0].model = virtio ? VM_NIC_VIRTIO : VM_NIC_E1000;
        cfg.nic[0].net = &s->net;
        memcpy(cfg.nic[0].mac, mac, sizeof(mac));
    }
    cfg.no_reboot = true;
    enum status st = run(s, c, &cfg, &why);
    close(fd);
    free(s);
    if (st)
        return fail(err, st, "%s, engine %s, pv %s: %.400s", c->w->name, c->engine, c->pv, why.msg);
    out->done = true;
    return ST_OK;
}
