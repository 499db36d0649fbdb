/*
 * devices/virtio/input.c - the virtio input device, as keyboard and as tablet.
 *
 * What it is: Linux input events on a queue, and a configuration that describes them. What it is
 * not: force feedback; LEDs go nowhere.
 *
 * Invariants: a report (its events and the SYN behind them) is queued whole or not at all, so the
 * guest never sees half of one; what the guest has no buffers for waits in `ring`, which is
 * bounded. A key's release is sent only if its press was.
 *
 * Manual: VIRTIO 1.2, section 5.8; Linux input-event-codes; USB HID usage tables, page 7.
 */
#include "devices/virtio/input.h"
#include "base/bits.h"
#include "base/log.h"
#include "bus/backend.h"
#include "devices/virtio/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { Q_EVENTS = 0, Q_STATUS = 1, RING = 64, HELD = 256 };
enum { CONFIG_SIZE = 136, C_SELECT = 0, C_SUBSEL = 1, C_SIZE = 2, C_DATA = 8 };
enum { SEL_NAME = 1, SEL_SERIAL = 2, SEL_IDS = 3, SEL_EVENTS = 0x11, SEL_ABS = 0x12 };
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_WHEEL = 8, BTN_LEFT = 0x110, BUS_VIRTUAL = 6, ABS_MAX_ = 32767 };

/* Linux's code for each HID usage; 0: it has none. */
static const u8 key_of[256] = {[0x04] = 30,
                               48,
                               46,
                               32,
                               18,
                               33,
                               34,
                               35,
                               23,
                               36,
                               37,
                               38,
                               50,
                               49,
                               24,
                               25,
                               /* 0x14 q */ 16,
                               19,
                               31,
                               20,
                               22,
                               47,
                               17,
                               45,
                               21,
                               44,
                               /* 0x1e 1 */ 2,
                               3,
                               4,
                               5,
                               6,
                               7,
                               8,
                               9,
                               10,
                               11,
                               /* 0x28 enter */ 28,
                               1,
                               14,
                               15,
                               57,
                               12,
                               13,
                               26,
                               27,
                               43,
                               43,
                               39,
                               40,
                               41,
                               51,
                               52,
                               53,
                               /* 0x39 caps lock, F1.. */ 58,
                               59,
                               60,
                               61,
                               62,
                               63,
                               64,
                               65,
                               66,
                               67,
                               68,
                               87,
                               88,
                               /* 0x46 print screen */ 99,
                               70,
                               119,
                               110,
                               102,
                               104,
                               111,
                               107,
                               109,
                               106,
                               105,
                               108,
                               103,
                               /* 0x53 num lock */ 69,
                               98,
                               55,
                               74,
                               78,
                               96,
                               79,
                               80,
                               81,
                               75,
                               76,
                               77,
                               71,
                               72,
                               73,
                               82,
                               83,
                               /* 0x64 between shift and z */ 86,
                               127,
                               116,
                               117,
                               /* 0x68 F13.. */ 183,
                               184,
                               185,
                               186,
                               187,
                               188,
                               189,
                               190,
                               191,
                               192,
                               193,
                               194,
                               [0x74] = 134,
                               138,
                               130,
                               132,
                               128,
                               129,
                               131,
                               137,
                               133,
                               135,
                               136,
                               113,
                               115,
                               114,
                               [0x85] = 121,
                               [0x87] = 89,
                               93,
                               124,
                               92,
                               94,
                               95,
                               [0x90] = 122,
                               123,
                               90,
                               91,
                               85,
                               [0xe0] = 29,
                               42,
                               56,
                               125,
                               97,
                               54,
                               100,
                               126};

struct event {
    u16 type, code;
    u32 value;
};

struct virtio_input {
    struct virtio_dev v;
    enum virtio_input_kind kind;
    struct input_sink sink;
    u8 select, subsel;
    u32 buttons;
    u8 down[32]; /* keys whose press was sent, a bit each by HID usage */
    u32 n_held;
    struct event held[HELD];
    struct virtq_elem req;
};
_Static_assert(sizeof(struct event) == 8, "as on the queue, and saved as bytes");

/* ---- events
 * ---------------------------------------------------------------------------------------- */
static void deliver(struct virtio_input *s)
{
    struct virtqueue *vq = &s->v.vq[Q_EVENTS];
    u32 sent = 0;
    while (sent < s->n_held && virtq_pop(vq, &s->req)) {
        size_t n = virtq_write(&s->req, 0, &s->held[sent++], sizeof(struct event));
        virtq_push(vq, &s->req, n);
    }
    if (!sent)
        return;
    s->n_held -= sent;
    memmove(s->held, s->held + sent, s->n_held * sizeof(struct event));
    virtq_notify(vq);
}

/* n events and the end of a report; false when there is no room. */
static bool report(struct virtio_input *s, const struct event *e, u32 n)
{
    if (!n)
        return true;
    if (!virtio_input_active(&s->v) || n + 1 > HELD - s->n_held)
        return false;
    memcpy(s->held + s->n_held, e, n * sizeof(*e));
    s->held[s->n_held + n] = (struct event){EV_SYN, 0, 0};
    s->n_held += n + 1;
    deliver(s);
    return true;
}

static void input_key(void *ctx, u16 usage, bool down)
{
    struct virtio_input *s = ctx;
    if (usage > 255 || !key_of[usage])
        return;
    u8 *byte = &s->down[usage / 8], bit = (u8)(1u << usage % 8);
    if (down == !!(*byte & bit)) /* the guest makes repeats itself */
        return;
    if (report(s, &(struct event){EV_KEY, key_of[usage], down}, 1))
        *byte ^= bit;
}

static void input_tablet(void *ctx, u32 x, u32 y, int wheel, u32 buttons)
{
    struct virtio_input *s = ctx;
    struct event e[6] = {{EV_ABS, 0, MIN(x, (u32)ABS_MAX_)}, {EV_ABS, 1, MIN(y, (u32)ABS_MAX_)}};
    u32 n = 2;
    for (u32 b = 0; b < 3; b++)
        if ((s->buttons ^ buttons) & BIT(b))
            e[n++] = (struct event){EV_KEY, (u16)(BTN_LEFT + b), buttons >> b & 1};
    if (wheel)
        e[n++] = (struct event){EV_REL, REL_WHEEL, (u32)wheel};
    if (report(s, e, n))
        s->buttons = buttons;
}

static bool input_absolute(void *ctx)
{
    return virtio_input_active(&((struct virtio_input *)ctx)->v);
}

static void input_notify(struct virtio_dev *v, int q)
{
    struct virtio_input *s = (struct virtio_input *)v;
    struct virtqueue *vq = &v->vq[q];
    if (q == Q_EVENTS) {
        deliver(s);
        return;
    }
    while (virtq_pop(vq, &s->req)) /* LEDs */
        virtq_push(vq, &s->req, 0);
    virtq_notify(vq);
}

/* ---- configuration
 * ---------------------------------------------------------------------------------- */
static void set_bit(u8 *map, u32 n, u8 *size)
{
    map[n / 8] |= (u8)(1u << n % 8);
    *size = (u8)MAX(*size, n / 8 + 1);
}

static void event_bits(const struct virtio_input *s, u8 *map, u8 *size)
{
    bool tablet = s->kind == VIRTIO_TABLET;
    switch (s->subsel) {
    case EV_KEY:
        for (u32 b = 0; tablet && b < 3; b++)
            set_bit(map, BTN_LEFT + b, size);
        for (u32 k = 0; !tablet && k < ARRAY_LEN(key_of); k++)
            if (key_of[k])
                set_bit(map, key_of[k], size);
        break;
    case EV_REL:
        if (tablet)
            set_bit(map, REL_WHEEL, size);
        break;
    case EV_ABS:
        for (u32 axis = 0; tablet && axis < 2; axis++)
            set_bit(map, axis, size);
        break;
    case EV_LED:
        for (u32 led = 0; !tablet && led < 3; led++)
            set_bit(map, led, size);
        break;
    case EV_REP: /* the guest repeats keys */
        for (u32 k = 0; !tablet && k < 2; k++)
            set_bit(map, k, size);
        break;
    }
}

static void input_config(struct virtio_dev *v, u8 *cfg)
{
    struct virtio_input *s = (struct virtio_input *)v;
    const char *name = s->kind == VIRTIO_TABLET ? "Trivisor tablet" : "Trivisor keyboard";
    u8 *data = cfg + C_DATA, *size = cfg + C_SIZE;
    cfg[C_SELECT] = s->select;
    cfg[C_SUBSEL] = s->subsel;
    switch (s->select) {
    case SEL_NAME:
        *size = (u8)strlen(name);
        memcpy(data, name, *size);
        break;
    case SEL_IDS:
        st_u16(data, BUS_VIRTUAL);
        st_u16(data + 2, 0x1af4);
        st_u16(data + 4, (u16)(s->kind == VIRTIO_TABLET ? 2 : 1));
        st_u16(data + 6, 1);
        *size = 8;
        break;
    case SEL_EVENTS:
        event_bits(s, data, size);
        break;
    case SEL_ABS:
        if (s->kind == VIRTIO_TABLET && s->subsel < 2) {
            st_u32(data + 4, ABS_MAX_);
            *size = 20;
        }
        break;
    }
}

static void input_config_write(struct virtio_dev *v, u32 off, u32 val, int size)
{
    struct virtio_input *s = (struct virtio_input *)v;
    for (int k = 0; k < size; k++, off++, val >>= 8) {
        if (off == C_SELECT)
            s->select = (u8)val;
        else if (off == C_SUBSEL)
            s->subsel = (u8)val;
    }
}

/* ---- the device
 * -------------------------------------------------------------------------------------- */
static void input_reset(struct virtio_dev *v)
{
    struct virtio_input *s = (struct virtio_input *)v;
    s->select = s->subsel = 0;
    s->n_held = 0;
    s->buttons = 0;
    memset(s->down, 0, sizeof(s->down));
}

static bool input_loaded(struct device *d)
{
    struct virtio_input *s = (struct virtio_input *)d;
    s->n_held = MIN(s->n_held, HELD);
    return virtio_dev_loaded(d);
}

static void input_destroy(struct device *d)
{
    free(d);
}

static const struct field input_state[] = {
    VIRTIO_FIELDS(struct virtio_input, v), FIELD_U(struct virtio_input, select),
    FIELD_U(struct virtio_input, subsel),  FIELD_U(struct virtio_input, buttons),
    FIELD_A(struct virtio_input, down),    FIELD_U(struct virtio_input, n_held),
    FIELD_BUF(struct virtio_input, held),  FIELD_END};

static const struct device_ops input_dev_ops = {
    .name = "virtio-input",
    .reset = virtio_dev_reset,
    .state = input_state,
    .loaded = input_loaded,
    .destroy = input_destroy,
};

static const struct virtio_dev_ops input_ops = {
    .id = VIRTIO_ID_INPUT,
    .config_size = CONFIG_SIZE,
    .pci_class = 0x098000,
    .config = input_config,
    .config_write = input_config_write,
    .notify = input_notify,
    .reset = input_reset,
};

struct virtio_dev *virtio_input_new(enum virtio_input_kind kind)
{
    struct virtio_input *s = calloc(1, sizeof(*s));
    CHECK(s);
    virtio_init(&s->v, &input_dev_ops, &input_ops, 2, RING);
    s->kind = kind;
    s->sink.ctx = s;
    if (kind == VIRTIO_KEYBOARD) {
        s->sink.key = input_key;
    } else {
        s->sink.tablet = input_tablet;
        s->sink.absolute = input_absolute;
    }
    return &s->v;
}

struct input_sink *virtio_input_sink(struct virtio_dev *v)
{
    return &((struct virtio_input *)v)->sink;
}

bool virtio_input_active(const struct virtio_dev *v)
{
    return (v->status & VIRTIO_S_DRIVER_OK) && virtq_ready(&v->vq[Q_EVENTS]);
}
