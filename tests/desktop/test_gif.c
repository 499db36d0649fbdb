/*
 * tests/desktop/test_gif.c - recordings read back: sizes, times, colours of every picture.
 */
#include <criterion/criterion.h>

#include "frontends/sdl/parts_priv.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { W = 40, H = 30 };

/* Frame k of the file over what was there. Returns its time in 1/100 s. */
static int show(const GifFileType *g, int k, u32 *screen)
{
    const SavedImage *s = &g->SavedImages[k];
    const GifImageDesc *d = &s->ImageDesc;
    GraphicsControlBlock gcb;
    cr_assert(d->Left >= 0 && d->Top >= 0 && d->Left + d->Width <= g->SWidth &&
              d->Top + d->Height <= g->SHeight);
    for (int y = 0; y < d->Height; y++) {
        for (int x = 0; x < d->Width; x++) {
            const GifColorType *c = &d->ColorMap->Colors[s->RasterBits[y * d->Width + x]];
            screen[(d->Top + y) * g->SWidth + d->Left + x] =
                (u32)c->Red << 16 | (u32)c->Green << 8 | c->Blue;
        }
    }
    cr_assert_eq(DGifSavedExtensionToGCB((GifFileType *)g, k, &gcb), GIF_OK);
    return gcb.DelayTime;
}

static void check_read_back(bool many_colours)
{
    struct gif *g;
    struct error err;
    char dir[] = "/tmp/trv-gif-XXXXXX", path[512];
    static u32 px[4][W * H], screen[W * H];
    static const u64 at[] = {1000, 1050, 1057, 1500};
    static const int want[] = {5, 2, 43, 50}; /* the short one is stretched, and the next cut */
    int why;
    cr_assert(mkdtemp(dir));
    cr_assert_eq(gif_begin(dir, W, H, &g, path, &err), ST_OK, "%s", err.msg);
    cr_expect(gif_fits(g, W, H) && !gif_fits(g, H, W));
    for (int k = 0; k < 4; k++) {
        memcpy(px[k], px[MAX(k - 1, 0)], sizeof(px[k]));
        if (k == 0)
            for (int i = 0; i < W * H; i++)
                px[0][i] = many_colours ? (u32)i * 13931u & 0xffffff : (u32)(i % 250) * 65793u;
        else if (k < 3)
            px[k][(10 + k) * W + 7] = 0xff8040u + (u32)k;
        cr_assert_eq(gif_add(g, px[k], at[k], &err), ST_OK);
    }
    cr_assert_eq(gif_end(g, 2000, &err), ST_OK);
    GifFileType *f = DGifOpenFileName(path, &why);
    cr_assert(f && DGifSlurp(f) == GIF_OK);
    cr_assert_eq(f->ImageCount, 4);
    cr_expect(f->SWidth == W && f->SHeight == H);
    for (int k = 0; k < 4; k++) {
        int cs = show(f, k, screen);
        cr_expect(cs >= want[k] - 1 && cs <= want[k] + 1, "frame %d: %d/100 s", k, cs);
        for (int i = 0; i < W * H; i++) {
            int off = 0;
            for (int s = 0; s < 24; s += 8)
                off = MAX(off, abs((int)(screen[i] >> s & 255) - (int)(px[k][i] >> s & 255)));
            cr_assert(off <= (many_colours ? 26 : 0), "frame %d, dot %d: %06x, not %06x", k, i,
                      screen[i], px[k][i]);
        }
    }
    cr_expect_eq(f->SavedImages[1].ImageDesc.Width, 1, "only what changed");
    DGifCloseFile(f, &why);
    unlink(path);
    rmdir(dir);
}

Test(gif, every_picture_exact)
{
    check_read_back(false);
}

Test(gif, many_colours_come_near)
{
    check_read_back(true);
}

Test(gif, no_folder)
{
    struct gif *g;
    struct error err;
    char path[512];
    cr_expect_neq(gif_begin("/nonexistent", W, H, &g, path, &err), ST_OK);
    cr_expect(strstr(err.msg, "/nonexistent"));
}
