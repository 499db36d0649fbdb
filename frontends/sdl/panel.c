/*
 * frontends/sdl/panel.c - see panel_priv.h.
 *
 * Figures are over the time since they were shown last, PERIOD_NS: often enough to follow, seldom
 * enough to read.
 */
#include "frontends/sdl/panel_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    PERIOD_NS = 500000000,
    COLUMNS = 40,
    EDGE = 6,
    WIDTH = COLUMNS * GLYPH_W + 2 * EDGE,
    LINE = GLYPH_H,
    CURVE = 24,
    ROW = 64, /* cells of the map in a row */
    CELL_W = 5,
    CELL_H = 3,
    FADE = 40, /* a mark is gone after some periods */
    LINES = 19,
    HEIGHT = 2 * EDGE + LINES * LINE + CURVE + 4 + 3 * 2 + VM_HEAT_CELLS / ROW * CELL_H,
};

#define PAPER      0xd80c1118u
#define INK        0xffe6e9efu
#define INK_DIM    0xff8a93a3u
#define HEADING    0xff8fb8ffu
#define BAR        0xff26303fu
#define TRANSLATED 0xff3fae6bu
#define INTERPRET  0xffd9a23cu
#define SLEEP      0xff3a4658u

void panel_clear(struct panel *p)
{
    memset(p, 0, sizeof(*p));
}

void panel_number(u64 n, char out[8])
{
    static const char unit[] = " kMGT";
    int k = 0;
    u64 tenths = n * 10;
    if (n > ~0ull / 10)
        tenths = ~0ull;
    while (tenths >= 100000 && k < 4) {
        tenths /= 1000;
        k++;
    }
    if (!k)
        snprintf(out, 8, "%llu", (unsigned long long)(tenths / 10));
    else if (tenths < 1000)
        snprintf(out, 8, "%llu.%llu%c", (unsigned long long)(tenths / 10),
                 (unsigned long long)(tenths % 10), unit[k]);
    else
        snprintf(out, 8, "%llu%c", (unsigned long long)(MIN(tenths, 99999u) / 10), unit[k]);
}

u64 panel_rate(u64 before, u64 now, u64 ns)
{
    if (now <= before || !ns) /* another engine began anew */
        return 0;
    return (u64)((double)(now - before) * 1e9 / (double)ns + 0.5);
}

static void fade(u8 *v, bool mark)
{
    *v = mark ? 255 : (u8)MAX(*v - FADE, 0);
}

static u64 rate(const struct panel *p, u64 before, u64 now)
{
    return panel_rate(before, now, p->now.host_ns - p->before.host_ns);
}

bool panel_take(struct panel *p, const struct vm_live *now, const u8 heat[VM_HEAT_CELLS], u64 cell,
                const char *engine)
{
    for (int k = 0; k < VM_HEAT_CELLS; k++) {
        p->read[k] |= heat[k] & VM_HEAT_READ ? 255 : 0;
        p->write[k] |= heat[k] & VM_HEAT_WRITE ? 255 : 0;
        p->exec[k] |= heat[k] & VM_HEAT_EXEC ? 255 : 0;
    }
    p->cell = cell;
    snprintf(p->engine, sizeof(p->engine), "%s", engine);
    if (!p->any) {
        p->any = true;
        p->now = *now;
        return true;
    }
    if (now->host_ns < p->now.host_ns + PERIOD_NS)
        return false;
    p->before = p->now;
    p->now = *now;
    p->ready = true;
    u32 mips = (u32)(rate(p, p->before.stats.insns, now->stats.insns) / 1000000);
    p->mips[p->at] = mips;
    p->at = (p->at + 1) % PANEL_HISTORY;
    p->mips_top = 1;
    for (int k = 0; k < PANEL_HISTORY; k++)
        p->mips_top = MAX(p->mips_top, (u64)p->mips[k]);
    for (int k = 0; k < VM_HEAT_CELLS; k++) {
        fade(&p->read[k], heat[k] & VM_HEAT_READ);
        fade(&p->write[k], heat[k] & VM_HEAT_WRITE);
        fade(&p->exec[k], heat[k] & VM_HEAT_EXEC);
        p->code[k] = heat[k] & VM_HEAT_CODE ? 70 : 0;
    }
    return true;
}

/* ---- drawing --------------------------------------------------------------------------------- */
static void number(struct canvas *c, int column, int y, u64 n, const char *unit)
{
    char text[8];
    panel_number(n, text);
    int x = EDGE + column * GLYPH_W - (int)strlen(text) * GLYPH_W;
    x = canvas_text(c, x, y, text, INK);
    canvas_text(c, x, y, unit, INK_DIM);
}

static int part(u64 n, u64 all)
{
    return all ? (int)((n * 1000 + all / 2) / all) : 0;
}

static int bar(struct canvas *c, int y, const u64 *v, const u32 *ink, int n, u64 all)
{
    int x = EDGE, room = COLUMNS * GLYPH_W;
    canvas_fill(c, EDGE, y + 3, room, 10, BAR);
    for (int k = 0; k < n; k++) {
        int w = all ? (int)(v[k] * (u64)room / all) : 0;
        canvas_fill(c, x, y + 3, MIN(w, EDGE + room - x), 10, ink[k]);
        x += w;
    }
    return y + LINE;
}

static int heading(struct canvas *c, int y, const char *text)
{
    canvas_text(c, EDGE, y, text, HEADING);
    return y + LINE;
}

static int draw_speed(const struct panel *p, struct canvas *c, int y)
{
    const struct vm_live *a = &p->before, *b = &p->now;
    static const u32 ink[VM_DOINGS] = {SLEEP, INTERPRET, TRANSLATED};
    u64 ns[VM_DOINGS], all = 0, insns = b->stats.insns - a->stats.insns;
    u64 helped = b->helper_calls > a->helper_calls ? b->helper_calls - a->helper_calls : 0;
    char text[64];
    snprintf(text, sizeof(text), "engine %.20s", p->engine);
    canvas_text(c, EDGE, y, text, HEADING);
    number(c, 32, y, rate(p, a->stats.insns, b->stats.insns) / 1000000, " MIPS");
    y += LINE;
    canvas_fill(c, EDGE, y, COLUMNS * GLYPH_W, CURVE, BAR);
    for (int k = 0; k < PANEL_HISTORY; k++) {
        int h = (int)((u64)p->mips[(p->at + k) % PANEL_HISTORY] * CURVE / p->mips_top);
        canvas_fill(c, EDGE + k * 4, y + CURVE - h, 3, h, TRANSLATED);
    }
    y += CURVE + 4;
    for (int k = 0; k < VM_DOINGS; k++) {
        ns[k] = b->doing[k] - a->doing[k];
        all += ns[k];
    }
    const u64 order[] = {ns[VM_DOING_TRANSLATED], ns[VM_DOING_INTERPRET], ns[VM_DOING_SLEEP]};
    static const u32 inks[] = {TRANSLATED, INTERPRET, SLEEP};
    y = bar(c, y, order, inks, 3, all);
    int t = part(order[0], all), i = part(order[1], all), s = part(order[2], all);
    snprintf(text, sizeof(text), "translated %d%%", (t + 5) / 10);
    int x = canvas_text(c, EDGE, y, text, ink[VM_DOING_TRANSLATED]);
    snprintf(text, sizeof(text), "interpreted %d%%", (i + 5) / 10);
    x = canvas_text(c, x + GLYPH_W, y, text, ink[VM_DOING_INTERPRET]);
    snprintf(text, sizeof(text), "asleep %d%%", (s + 5) / 10);
    canvas_text(c, x + GLYPH_W, y, text, INK_DIM);
    y += LINE;
    int h = part(MIN(helped, insns), insns);
    snprintf(text, sizeof(text), "instructions by C functions: %d.%d%%", h / 10, h % 10);
    canvas_text(c, EDGE, y, text, INK);
    return y + LINE;
}

static int draw_exits(const struct panel *p, struct canvas *c, int y)
{
    const struct vm_live *a = &p->before, *b = &p->now;
    u64 ns = b->host_ns - a->host_ns;
    y = heading(c, y, "exits              a second  host time");
    for (int k = 0; k < VM_EXIT_CAUSES; k++) {
        const struct vm_exit_row *x = &a->ledger.row[k], *z = &b->ledger.row[k];
        char text[32];
        int share = part(z->ns > x->ns ? z->ns - x->ns : 0, ns);
        snprintf(text, sizeof(text), "%s", vm_exit_name((enum vm_exit_cause)k));
        for (char *t = text; *t; t++)
            if (*t == '_')
                *t = ' ';
        canvas_text(c, EDGE, y, text, INK);
        number(c, 27, y, rate(p, x->n, z->n), "");
        snprintf(text, sizeof(text), "%3d.%d%%", share / 10, share % 10);
        canvas_text(c, EDGE + 32 * GLYPH_W, y, text, INK_DIM);
        y += LINE;
    }
    canvas_text(c, EDGE, y, "slow memory", INK);
    number(c, 27, y, rate(p, a->slow_memory, b->slow_memory), "");
    y += LINE;
    canvas_text(c, EDGE, y, "indirect lookup", INK);
    number(c, 27, y, rate(p, a->lookups, b->lookups), "");
    return y + LINE;
}

static int draw_paging(const struct panel *p, struct canvas *c, int y)
{
    const struct vm_live *a = &p->before, *b = &p->now;
    const u32 one = TRANSLATED, two = HEADING;
    char text[64];
    canvas_text(c, EDGE, y, "paging", HEADING);
    number(c, 13, y, rate(p, a->stats.tlb_misses, b->stats.tlb_misses), " misses");
    number(c, 27, y, rate(p, a->walks, b->walks), " walks/s");
    y += LINE;
    snprintf(text, sizeof(text), "TLB %u of %u", b->tlb_used, b->tlb_room);
    canvas_text(c, EDGE, y, text, INK);
    number(c, 27, y, rate(p, a->flushes, b->flushes), " flushes/s");
    y += LINE;
    u64 used = b->tlb_used;
    y = bar(c, y, &used, &two, 1, b->tlb_room);
    snprintf(text, sizeof(text), "code cache %llu of %llu MB",
             (unsigned long long)(b->cache_used >> 20), (unsigned long long)(b->cache_size >> 20));
    canvas_text(c, EDGE, y, text, HEADING);
    number(c, 31, y, b->cache_resets, " emptied");
    y += LINE;
    used = b->cache_used;
    y = bar(c, y, &used, &one, 1, b->cache_size);
    canvas_text(c, EDGE, y, "blocks", INK);
    number(c, 13, y, rate(p, a->blocks_translated, b->blocks_translated), " new");
    number(c, 27, y, rate(p, a->stats.block_invalidations, b->stats.block_invalidations),
           " overwritten");
    return y + LINE;
}

static void draw_map(const struct panel *p, struct canvas *c, int y)
{
    char text[64];
    snprintf(text, sizeof(text), "memory, %llu KB a cell:", (unsigned long long)(p->cell >> 10));
    int x = canvas_text(c, EDGE, y, text, HEADING) + GLYPH_W;
    x = canvas_text(c, x, y, "r", 0xff5a8cffu);
    x = canvas_text(c, x, y, "w", 0xffff5a5au);
    x = canvas_text(c, x, y, "x", 0xff5aff7au);
    canvas_text(c, x + GLYPH_W, y, "code", 0xff468a46u);
    y += LINE;
    u64 cells = p->cell ? (p->now.ram_size + p->cell - 1) / p->cell : 0;
    for (int k = 0; k < VM_HEAT_CELLS && (u64)k < cells; k++) {
        u32 r = 24u + p->write[k] * 231u / 255, b = 32u + p->read[k] * 223u / 255;
        u32 g = 28u + MAX(p->exec[k] * 227u / 255, (u32)p->code[k]);
        canvas_fill(c, EDGE + k % ROW * CELL_W, y + k / ROW * CELL_H, CELL_W - 1, CELL_H,
                    0xff000000u | r << 16 | g << 8 | b);
    }
}

void panel_draw(const struct panel *p, struct canvas *c)
{
    if (!canvas_size(c, WIDTH, HEIGHT))
        return;
    canvas_fill(c, 0, 0, WIDTH, HEIGHT, PAPER);
    if (!p->ready) {
        canvas_text(c, EDGE, EDGE, "looking ...", INK_DIM);
        return;
    }
    int y = draw_speed(p, c, EDGE);
    y = draw_exits(p, c, y + 2);
    y = draw_paging(p, c, y + 2);
    draw_map(p, c, y + 2);
}
