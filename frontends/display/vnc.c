/*
 * frontends/display/vnc.c - the machine's screen, keyboard and mouse for VNC clients.
 *
 * What it is: the one file that knows libvncserver, which speaks the protocol (RFB 3.8, RFC 6143).
 * One thread serves all clients; the listening socket is ours, so that who may connect, and how
 * many, is decided here. What it is not: TLS (use ssh), sound, the clipboard, file transfer.
 *
 * Invariants: only rectangles that differ are sent. A client that stalls in the middle of a message
 * is dropped after PATIENCE_MS; the guest never waits for one.
 */
#include "base/log.h"
#include "frontends/display/display.h"
#include "frontends/display/feed.h"
#include "frontends/display/parts.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_CLIENTS = 16,
    PATIENCE_MS = 2000,
    GREETING_MS = 15000, /* to say who one is */
    FRAME_MS = 33,
    IDLE_MS = 100, /* between looks at a picture that does not change */
    IDLE_AFTER = 15,
    BAND = 16, /* lines that are compared and sent together */
    N_KEYS = 256,
    KEY_LEFT_SHIFT = 0xe1,
    KEY_RIGHT_SHIFT = 0xe5,
    KEY_CAPS_LOCK = 0x39,
};

struct vnc {
    struct display d;
    struct vnc_options o;
    char password[64];
    char *passwords[2]; /* as the library wants it */
    int listen_fd, wake_fd;
    pthread_t thread;
    bool started;
    _Atomic bool quit;
    struct feed feed;

    rfbScreenInfoPtr rfb;
    u32 *shown; /* what clients have seen: the library's frame buffer */
    int width, height;
    int n_clients, quiet;
    bool held[N_KEYS], caps;
    int x, y;
    bool placed; /* x, y are where the pointer was */
    u32 buttons;
};

static u64 now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* ---- keys and pointer ------------------------------------------------------------------------ */
static void tell_key(struct vnc *v, u16 usage, bool down)
{
    v->held[usage] = down;
    feed_key(&v->feed, usage, down);
}

/* A character that is on another key in the client's layout comes with the client's shift, not
 * ours: it is put right while the key goes down. */
static void press(struct vnc *v, u16 usage, bool character, bool shift)
{
    static const u16 shifts[2] = {KEY_LEFT_SHIFT, KEY_RIGHT_SHIFT};
    bool up[2] = {false, false}, have = v->held[KEY_LEFT_SHIFT] || v->held[KEY_RIGHT_SHIFT];
    if (usage >= 4 && usage < 4 + 26)
        shift ^= v->caps;
    if (character && shift && !have)
        feed_key(&v->feed, KEY_LEFT_SHIFT, true);
    for (int k = 0; character && !shift && k < 2; k++)
        if ((up[k] = v->held[shifts[k]]))
            feed_key(&v->feed, shifts[k], false);
    tell_key(v, usage, true);
    if (character && shift && !have)
        feed_key(&v->feed, KEY_LEFT_SHIFT, false);
    for (int k = 0; k < 2; k++)
        if (up[k])
            feed_key(&v->feed, shifts[k], true);
}

static void on_key(rfbBool down, rfbKeySym sym, rfbClientPtr cl)
{
    struct vnc *v = cl->screen->screenData;
    bool shift, character = sym > 0x20 && sym < 0x7f;
    u16 usage = keysym_key(sym, &shift);
    if (!usage || usage >= N_KEYS)
        return;
    if (!down) {
        if (v->held[usage])
            tell_key(v, usage, false);
        return;
    }
    if (usage == KEY_CAPS_LOCK && !v->held[usage])
        v->caps = !v->caps;
    press(v, usage, character, shift);
}

static void release_all(struct vnc *v)
{
    for (u16 k = 0; k < N_KEYS; k++)
        if (v->held[k])
            tell_key(v, k, false);
}

static u32 place(int at, int size)
{
    return size > 1 ? (u32)((i64)at * 32767 / (size - 1)) : 0;
}

/* Buttons 4 and 5 are the wheel. */
static void on_pointer(int mask, int x, int y, rfbClientPtr cl)
{
    struct vnc *v = cl->screen->screenData;
    u32 was = v->buttons, now = (u32)mask;
    int wheel = (int)((now & ~was) >> 3 & 1) - (int)((now & ~was) >> 4 & 1);
    u32 buttons = (now & 1) | (now >> 2 & 1) << 1 | (now >> 1 & 1) << 2;
    x = MAX(MIN(x, v->width - 1), 0);
    y = MAX(MIN(y, v->height - 1), 0);
    v->buttons = now;
    if (v->feed.absolute)
        feed_tablet(&v->feed, place(x, v->width), place(y, v->height), wheel, buttons);
    else
        feed_mouse(&v->feed, v->placed ? x - v->x : 0, v->placed ? y - v->y : 0, wheel, buttons);
    v->x = x;
    v->y = y;
    v->placed = true;
}

/* ---- clients --------------------------------------------------------------------------------- */
static void on_gone(rfbClientPtr cl)
{
    struct vnc *v = cl->screen->screenData;
    v->n_clients--;
    release_all(v);
    v->placed = false;
}

static enum rfbNewClientAction on_client(rfbClientPtr cl)
{
    struct vnc *v = cl->screen->screenData;
    v->n_clients++;
    cl->clientGoneHook = on_gone;
    cl->clientData = (void *)(uintptr_t)now_ms();
    return RFB_CLIENT_ACCEPT;
}

static void no_text(char *text, int len, rfbClientPtr cl)
{
}

/* Who connects and says nothing would keep others out. */
static void drop_silent(struct vnc *v, u64 now)
{
    rfbClientIteratorPtr it = rfbGetClientIterator(v->rfb);
    rfbClientPtr cl;
    while ((cl = rfbClientIteratorNext(it)))
        if (cl->state != RFB_NORMAL && now > (u64)(uintptr_t)cl->clientData + GREETING_MS)
            rfbCloseClient(cl);
    rfbReleaseClientIterator(it);
}

static void take_client(struct vnc *v)
{
    int fd = accept4(v->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    /* The library uses select(). */
    if (v->n_clients >= MAX_CLIENTS || fd >= FD_SETSIZE) {
        close(fd);
        return;
    }
    rfbNewClient(v->rfb, fd);
    v->quiet = 0;
}

/* ---- the picture ----------------------------------------------------------------------------- */
/* Ours is 0x00RRGGBB; the library sets its own with every frame buffer. */
static void set_format(struct vnc *v)
{
    rfbClientIteratorPtr it = rfbGetClientIterator(v->rfb);
    rfbClientPtr cl;
    v->rfb->serverFormat.redShift = 16;
    v->rfb->serverFormat.greenShift = 8;
    v->rfb->serverFormat.blueShift = 0;
    while ((cl = rfbClientIteratorNext(it)))
        v->rfb->setTranslateFunction(cl);
    rfbReleaseClientIterator(it);
}

/* The library and its clients take a new frame buffer. One that sees a scaled copy is sent away:
 * its copy has the old size. */
static bool resize(struct vnc *v, int width, int height)
{
    u32 *fresh = calloc((size_t)width * (size_t)height, sizeof(*fresh));
    rfbClientIteratorPtr it = rfbGetClientIterator(v->rfb);
    rfbClientPtr cl;
    while ((cl = rfbClientIteratorNext(it)))
        if (cl->scaledScreen != v->rfb)
            rfbCloseClient(cl);
    rfbReleaseClientIterator(it);
    if (!fresh)
        return false;
    rfbNewFramebuffer(v->rfb, (char *)fresh, width, height, 8, 3, 4);
    set_format(v);
    free(v->shown);
    v->shown = fresh;
    v->width = width;
    v->height = height;
    v->placed = false;
    return true;
}

/* Takes over what differs in a band of lines; its width in columns that do. */
static void compare_band(struct vnc *v, int y, int lines)
{
    int left = v->width, right = 0;
    for (int k = y; k < y + lines; k++) {
        const u32 *now = v->feed.pixels + (size_t)k * (size_t)v->width;
        u32 *old = v->shown + (size_t)k * (size_t)v->width;
        if (!memcmp(now, old, (size_t)v->width * sizeof(*now)))
            continue;
        int a = 0, b = v->width;
        while (now[a] == old[a])
            a++;
        while (now[b - 1] == old[b - 1])
            b--;
        memcpy(old + a, now + a, (size_t)(b - a) * sizeof(*now));
        left = MIN(left, a);
        right = MAX(right, b);
    }
    if (right)
        rfbMarkRectAsModified(v->rfb, left, y, right, y + lines);
}

/* A picture came back, or the size that it would have. */
static void take_picture(struct vnc *v)
{
    struct feed *f = &v->feed;
    int w = f->width, h = f->height;
    size_t n = (size_t)w * (size_t)h;
    f->arrived = false;
    if (w <= 0 || h <= 0 || n > FEED_MAX_PIXELS)
        return;
    if (!f->drawn || n > f->max) {
        free(f->pixels);
        f->pixels = malloc(n * sizeof(*f->pixels));
        f->max = f->pixels ? n : 0;
        v->quiet = 0;
        return;
    }
    v->quiet = f->changed ? 0 : v->quiet + 1;
    if ((w != v->width || h != v->height) && !resize(v, w, h))
        return;
    for (int y = 0; y < h; y += BAND)
        compare_band(v, y, MIN(BAND, h - y));
}

static void on_ready(void *ctx)
{
    struct vnc *v = ctx;
    u64 one = 1;
    if (write(v->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */
static void wait_for(struct vnc *v, int ms)
{
    struct pollfd p[MAX_CLIENTS + 2] = {{.fd = v->wake_fd, .events = POLLIN},
                                        {.fd = v->listen_fd, .events = POLLIN}};
    nfds_t n = 2;
    rfbClientIteratorPtr it = rfbGetClientIterator(v->rfb);
    rfbClientPtr cl;
    u64 count;
    while ((cl = rfbClientIteratorNext(it)) && n < ARRAY_LEN(p))
        p[n++] = (struct pollfd){.fd = cl->sock, .events = POLLIN};
    rfbReleaseClientIterator(it);
    if (poll(p, n, ms) <= 0)
        return;
    if (p[0].revents && read(v->wake_fd, &count, sizeof(count)) < 0) {
        /* nothing to clear */
    }
    if (p[1].revents)
        take_client(v);
}

static void *serve(void *arg)
{
    struct vnc *v = arg;
    u64 next = 0;
    while (!atomic_load(&v->quit)) {
        u64 now = now_ms();
        bool out = atomic_load(&v->feed.out);
        if (!out && v->feed.arrived)
            take_picture(v);
        if (!out && v->n_clients && now >= next) {
            feed_request(&v->feed);
            next = now + (v->quiet > IDLE_AFTER ? IDLE_MS : FRAME_MS);
        }
        drop_silent(v, now);
        rfbProcessEvents(v->rfb, 0);
        now = now_ms();
        wait_for(v, !v->n_clients ? -1 : (int)(next > now ? MIN(next - now, 10) : 5));
    }
    return NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */
static enum status read_password(struct vnc *v, struct error *err)
{
    const char *path = v->o.password;
    FILE *f;
    if (!*path)
        return ST_OK;
    f = fopen(path, "re");
    if (!f)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        log_error("vnc: %s: others on this host can read the password", path);
    bool got = fgets(v->password, sizeof(v->password), f);
    fclose(f);
    v->password[strcspn(v->password, "\r\n")] = 0;
    if (!got || !v->password[0])
        return fail(err, ST_FORMAT, "%s: no password in its first line", path);
    v->passwords[0] = v->password;
    return ST_OK;
}

static enum status listen_at(struct vnc *v, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const char *host = v->o.host[0] ? v->o.host : "127.0.0.1";
    struct addrinfo *all;
    char port[16];
    int one = 1;
    snprintf(port, sizeof(port), "%d", 5900 + v->o.number);
    int e = getaddrinfo(host, port, &hints, &all);
    if (e)
        return fail(err, ST_NOENT, "vnc: %s: %s", host, gai_strerror(e));
    for (const struct addrinfo *a = all; a && v->listen_fd < 0; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        e = errno;
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, MAX_CLIENTS) == 0) {
            v->listen_fd = fd;
        } else {
            e = errno;
            close(fd);
        }
    }
    freeaddrinfo(all);
    if (v->listen_fd < 0)
        return fail(err, e == EADDRINUSE ? ST_BUSY : status_from_errno(e), "vnc: %s port %s: %s",
                    host, port, strerror(e));
    return ST_OK;
}

static bool make_screen(struct vnc *v)
{
    v->width = 720;
    v->height = 400;
    v->shown = calloc((size_t)v->width * (size_t)v->height, sizeof(*v->shown));
    rfbLogEnable(0);
    v->rfb = v->shown ? rfbGetScreen(NULL, NULL, v->width, v->height, 8, 3, 4) : NULL;
    if (!v->rfb)
        return false;
    rfbScreenInfoPtr r = v->rfb;
    r->frameBuffer = (char *)v->shown;
    r->screenData = v;
    r->desktopName = "Trivisor";
    r->port = r->ipv6port = 0; /* it shall not listen */
    r->autoPort = FALSE;
    r->httpDir = NULL;
    r->udpPort = 0;
    r->permitFileTransfer = FALSE;
    r->maxClientWait = PATIENCE_MS;
    r->deferUpdateTime = 0;
    r->alwaysShared = v->o.share == VNC_IGNORE;
    r->dontDisconnect = v->o.share == VNC_FORCE_SHARED;
    r->neverShared = FALSE;
    r->cursor = NULL;
    r->kbdAddEvent = on_key;
    r->ptrAddEvent = on_pointer;
    r->setXCutText = no_text;
    r->newClientHook = on_client;
    if (v->passwords[0]) {
        r->authPasswdData = v->passwords;
        r->passwordCheck = rfbCheckPasswordByList;
    }
    rfbInitServer(r);
    set_format(v);
    return true;
}

static enum status vnc_start(struct display *d, struct vm *vm, struct error *err)
{
    struct vnc *v = (struct vnc *)d;
    sigset_t all, before;
    v->feed.vm = vm;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    v->started = pthread_create(&v->thread, NULL, serve, v) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return v->started ? ST_OK : fail(err, ST_NOMEM, "cannot start a thread");
}

static void vnc_close(struct display *d)
{
    struct vnc *v = (struct vnc *)d;
    if (v->started) {
        atomic_store(&v->quit, true);
        on_ready(v);
        pthread_join(v->thread, NULL);
        release_all(v);
    }
    if (v->rfb) {
        rfbShutdownServer(v->rfb, TRUE);
        rfbScreenCleanup(v->rfb);
    }
    if (v->listen_fd >= 0)
        close(v->listen_fd);
    if (v->wake_fd >= 0)
        close(v->wake_fd);
    free(v->feed.pixels);
    feed_free(&v->feed);
    free(v->shown);
    explicit_bzero(v->password, sizeof(v->password));
    free(v);
}

enum status vnc_open(const struct vnc_options *o, struct display **out, struct error *err)
{
    static const struct display_ops ops = {vnc_start, vnc_close};
    struct vnc *v = calloc(1, sizeof(*v));
    if (!v)
        return fail(err, ST_NOMEM, "out of memory");
    v->d.ops = &ops;
    v->o = *o;
    v->listen_fd = -1;
    v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum status st = ST_OK;
    if (!feed_init(&v->feed, on_ready, v) || v->wake_fd < 0)
        st = fail(err, ST_NOMEM, "cannot make an eventfd: %s", strerror(errno));
    if (st == ST_OK)
        st = read_password(v, err);
    if (st == ST_OK)
        st = listen_at(v, err);
    if (st == ST_OK && !make_screen(v))
        st = fail(err, ST_NOMEM, "out of memory");
    if (st != ST_OK)
        vnc_close(&v->d);
    else
        *out = &v->d;
    return st;
}
