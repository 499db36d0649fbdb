/*
 * frontends/sdl/gif.c - the screen as a moving picture: a GIF file, by giflib.
 *
 * What it is: pictures with the time at which each was seen, written one behind: how long a picture
 * stays is known when the next one comes. Only the rectangle that changed is in the file. Up to 256
 * colours are exact (every VGA mode); more are brought to a fixed cube of 252.
 *
 * Invariants: `shown` is what a viewer of the written part sees; `next` came at next_ms and is not
 * written yet. The one file that includes giflib's header.
 *
 * Manual: Graphics Interchange Format, version 89a.
 */
#include "frontends/sdl/parts_priv.h"

#ifdef TRV_HAVE_GIF
#include <errno.h>
#include <gif_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAP = 256, HASH = 1024, CS_MS = 10, MIN_CS = 2 };

struct gif {
    GifFileType *f;
    int width, height;
    u32 *shown, *next;
    u8 *index; /* of a rectangle's pixels */
    bool any;  /* shown holds something */
    bool waits;
    u64 next_ms;
    char path[512];
};

/* ---- colours --------------------------------------------------------------------------------- */
struct colours {
    u32 key[HASH]; /* colour + 1; 0: free */
    u8 at[HASH];
    GifColorType map[MAP];
    int n;
};

static int colour_of(struct colours *c, u32 rgb)
{
    u32 h = rgb * 0x9e3779b1u >> 22;
    while (c->key[h] && c->key[h] != rgb + 1)
        h = (h + 1) & (HASH - 1);
    if (!c->key[h]) {
        if (c->n == MAP)
            return -1;
        c->key[h] = rgb + 1;
        c->at[h] = (u8)c->n;
        c->map[c->n++] = (GifColorType){(u8)(rgb >> 16), (u8)(rgb >> 8), (u8)rgb};
    }
    return c->at[h];
}

/* 6 reds, 7 greens, 6 blues. */
static void use_cube(struct colours *c)
{
    for (int k = 0; k < 252; k++)
        c->map[k] = (GifColorType){(u8)(k / 42 * 51), (u8)(k / 6 % 7 * 255 / 6), (u8)(k % 6 * 51)};
    for (int k = 252; k < MAP; k++)
        c->map[k] = (GifColorType){0, 0, 0};
    c->n = MAP;
}

static u8 cube(u32 rgb)
{
    u32 r = rgb >> 16 & 255, g = rgb >> 8 & 255, b = rgb & 255;
    return (u8)((r * 5 + 127) / 255 * 42 + (g * 6 + 127) / 255 * 6 + (b * 5 + 127) / 255);
}

/* ---- frames ---------------------------------------------------------------------------------- */
static struct shape difference(const struct gif *g)
{
    struct shape s = {0, 0, g->width, g->height};
    if (!g->any)
        return s;
    int x0 = g->width, x1 = -1, y0 = g->height, y1 = -1;
    for (int y = 0; y < g->height; y++) {
        const u32 *a = g->next + (size_t)y * (size_t)g->width;
        const u32 *b = g->shown + (size_t)y * (size_t)g->width;
        if (!memcmp(a, b, (size_t)g->width * sizeof(*a)))
            continue;
        int from = 0, to = g->width - 1;
        while (a[from] == b[from])
            from++;
        while (a[to] == b[to])
            to--;
        x0 = MIN(x0, from);
        x1 = MAX(x1, to);
        y0 = MIN(y0, y);
        y1 = y;
    }
    if (x1 < 0) /* the same: one dot carries the time */
        return (struct shape){0, 0, 1, 1};
    return (struct shape){x0, y0, x1 - x0 + 1, y1 - y0 + 1};
}

static bool put_frame(struct gif *g, u32 cs)
{
    struct shape s = difference(g);
    struct colours *c = calloc(1, sizeof(*c));
    bool exact = true;
    if (!c)
        return false;
    for (int y = 0; y < s.h && exact; y++) {
        const u32 *from = g->next + (size_t)(s.y + y) * (size_t)g->width + s.x;
        u8 *to = g->index + (size_t)y * (size_t)s.w;
        for (int x = 0; x < s.w && exact; x++) {
            int k = colour_of(c, from[x] & 0xffffff);
            exact = k >= 0;
            to[x] = (u8)k;
        }
    }
    if (!exact) {
        use_cube(c);
        for (int y = 0; y < s.h; y++)
            for (int x = 0; x < s.w; x++)
                g->index[(size_t)y * (size_t)s.w + (size_t)x] =
                    cube(g->next[(size_t)(s.y + y) * (size_t)g->width + (size_t)(s.x + x)]);
    }
    u8 control[4] = {1 << 2, (u8)cs, (u8)(cs >> 8), 0}; /* leave it there */
    ColorMapObject *map = GifMakeMapObject(MAP, c->map);
    bool ok = map && EGifPutExtension(g->f, GRAPHICS_EXT_FUNC_CODE, 4, control) == GIF_OK &&
              EGifPutImageDesc(g->f, s.x, s.y, s.w, s.h, false, map) == GIF_OK;
    for (int y = 0; ok && y < s.h; y++)
        ok = EGifPutLine(g->f, g->index + (size_t)y * (size_t)s.w, s.w) == GIF_OK;
    GifFreeMapObject(map);
    free(c);
    u32 *old = g->shown;
    g->shown = g->next;
    g->next = old;
    g->any = true;
    return ok;
}

static enum status put_waiting(struct gif *g, u64 now_ms, struct error *err)
{
    if (!g->waits)
        return ST_OK;
    u64 cs = (now_ms - g->next_ms) / CS_MS;
    g->waits = false;
    g->next_ms += MAX(cs, (u64)MIN_CS) * CS_MS;
    if (!put_frame(g, (u32)MIN(MAX(cs, (u64)MIN_CS), 65535u)))
        return fail(err, ST_IO, "%s: cannot write: %s", g->path, strerror(errno));
    return ST_OK;
}

/* ---- from outside ---------------------------------------------------------------------------- */
bool gif_built(void)
{
    return true;
}

enum status gif_begin(const char *folder, int width, int height, struct gif **out, char path[512],
                      struct error *err)
{
    static const u8 loop[3] = {1, 0, 0}; /* for ever */
    struct gif *g = calloc(1, sizeof(*g));
    size_t n = (size_t)width * (size_t)height;
    int why = 0, fd;
    if (g) {
        g->shown = malloc(n * sizeof(u32));
        g->next = malloc(n * sizeof(u32));
        g->index = malloc(n);
    }
    if (!g || !g->shown || !g->next || !g->index || width > 65535 || height > 65535) {
        gif_free(g);
        return fail(err, ST_NOMEM, "out of memory");
    }
    g->width = width;
    g->height = height;
    fd = new_file(folder, "gif", g->path);
    if (fd < 0) {
        enum status st = fail(err, status_from_errno(errno), "%s: %s", g->path, strerror(errno));
        gif_free(g);
        return st;
    }
    g->f = EGifOpenFileHandle(fd, &why);
    if (!g->f)
        close(fd);
    else
        EGifSetGifVersion(g->f, true);
    if (!g->f || EGifPutScreenDesc(g->f, width, height, 8, 0, NULL) != GIF_OK ||
        EGifPutExtensionLeader(g->f, APPLICATION_EXT_FUNC_CODE) != GIF_OK ||
        EGifPutExtensionBlock(g->f, 11, "NETSCAPE2.0") != GIF_OK ||
        EGifPutExtensionBlock(g->f, 3, loop) != GIF_OK || EGifPutExtensionTrailer(g->f) != GIF_OK) {
        fail(err, ST_IO, "%s: cannot write", g->path);
        unlink(g->path);
        gif_free(g);
        return ST_IO;
    }
    snprintf(path, 512, "%s", g->path);
    *out = g;
    return ST_OK;
}

enum status gif_add(struct gif *g, const u32 *pixels, u64 now_ms, struct error *err)
{
    enum status st = put_waiting(g, now_ms, err);
    if (st)
        return st;
    memcpy(g->next, pixels, (size_t)g->width * (size_t)g->height * sizeof(*pixels));
    /* Rounding must not add up: a picture begins where the one before it ended. */
    if (!g->any || now_ms > g->next_ms + 2 * CS_MS)
        g->next_ms = now_ms;
    g->waits = true;
    return ST_OK;
}

bool gif_fits(const struct gif *g, int width, int height)
{
    return g->width == width && g->height == height;
}

enum status gif_end(struct gif *g, u64 now_ms, struct error *err)
{
    int why = 0;
    enum status st = put_waiting(g, now_ms, err);
    if (EGifCloseFile(g->f, &why) != GIF_OK && !st)
        st = fail(err, ST_IO, "%s: cannot write: %s", g->path, strerror(errno));
    g->f = NULL;
    gif_free(g);
    return st;
}

void gif_free(struct gif *g)
{
    int why;
    if (!g)
        return;
    if (g->f)
        EGifCloseFile(g->f, &why);
    free(g->shown);
    free(g->next);
    free(g->index);
    free(g);
}
#else
bool gif_built(void)
{
    return false;
}

enum status gif_begin(const char *folder, int width, int height, struct gif **out, char path[512],
                      struct error *err)
{
    return fail(err, ST_UNSUP, "this build cannot record: libgif-dev was not there");
}

enum status gif_add(struct gif *g, const u32 *pixels, u64 now_ms, struct error *err)
{
    return fail(err, ST_UNSUP, "this build cannot record");
}

bool gif_fits(const struct gif *g, int width, int height)
{
    return false;
}

enum status gif_end(struct gif *g, u64 now_ms, struct error *err)
{
    return ST_OK;
}

void gif_free(struct gif *g)
{
}
#endif
