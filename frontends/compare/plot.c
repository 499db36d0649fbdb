/*
 * frontends/compare/plot.c - the comparison as a bar chart, SVG.
 *
 * A group of bars for each kind of work, a bar for each way, its length the logarithm of its time:
 * a gain of 10 is as long everywhere, whatever the work. Each bar is split where exits ended and
 * the guest's own code began, in proportion to the ledger's run.
 */
#include "frontends/compare/compare_priv.h"

#include <inttypes.h>

enum { WIDTH = 900, LEFT = 110, BARS = 560, BAR = 15, GROUP = 3 * BAR + 14, HEAD = 74, FOOT = 34 };

/* 64 * log2(x), x >= 1. */
static u64 log2_64(u64 x)
{
    int whole = 63 - __builtin_clzll(x);
    u64 out = (u64)whole * 64, m = whole >= 31 ? x >> (whole - 31) : x << (31 - whole);
    for (int bit = 32; bit; bit >>= 1) { /* m: 31 fraction bits, 1 <= m < 2 */
        m = m * m >> 31;
        if (m >> 32) {
            out += (u64)bit;
            m >>= 1;
        }
    }
    return out;
}

struct scale {
    u64 low, span; /* logarithms */
};

static int length(const struct scale *s, u64 ns)
{
    u64 at = log2_64(MAX(ns, (u64)1));
    return at <= s->low ? 1 : (int)((at - s->low) * BARS / s->span) + 1;
}

static struct scale find_scale(const struct result *r, int n)
{
    u64 low = ~0ull, high = 1;
    for (int k = 0; k < n; k++) {
        for (int w = 0; w < N_WAYS; w++) {
            u64 ns = MAX(r[k].way[w].cpu_ns, (u64)1);
            if (r[k].way[w].done) {
                low = MIN(low, ns);
                high = MAX(high, ns);
            }
        }
    }
    u64 from = 1000; /* a power of ten, below the shortest */
    while (from * 10 < low)
        from *= 10;
    struct scale s = {log2_64(from), 0};
    s.span = MAX(log2_64(MAX(high, from)) - s.low, (u64)64);
    return s;
}

static void grid(FILE *f, const struct scale *s, int bottom)
{
    static const struct {
        u64 ns;
        const char *name;
    } lines[] = {{1000, "1 us"},      {10000, "10 us"},     {100000, "100 us"},
                 {1000000, "1 ms"},   {10000000, "10 ms"},  {100000000, "100 ms"},
                 {1000000000, "1 s"}, {10000000000, "10 s"}};
    for (size_t k = 0; k < ARRAY_LEN(lines); k++) {
        u64 at = log2_64(lines[k].ns);
        int x = LEFT + length(s, lines[k].ns);
        if (at < s->low || at > s->low + s->span)
            continue;
        fprintf(f,
                "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#d8d4c4\"/>\n"
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#777\">%s</text>\n",
                x, HEAD - 6, x, bottom, x, bottom + 16, lines[k].name);
    }
}

static void bar(FILE *f, const struct scale *s, const struct result *r, enum way w, int y)
{
    static const char *const own[N_WAYS] = {"#b9b4a6", "#8fb3d9", "#93c78a"},
                             *const exits[N_WAYS] = {"#7d7869", "#3f6fa8", "#3f8a45"};
    const struct measured *m = &r->way[w];
    u64 out = 0, gain = gain_percent(r, w);
    for (int k = 0; k < VM_EXIT_CAUSES; k++)
        out += m->ledger.row[k].ns;
    int all = length(s, m->cpu_ns);
    int dark = (int)((u64)all * MIN(out, m->ledger_ns) / MAX(m->ledger_ns, (u64)1));
    fprintf(f,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>"
            "<text x=\"%d\" y=\"%d\">%" PRIu64 ".%02u ms",
            LEFT, y, all, BAR - 2, own[w], LEFT, y, dark, BAR - 2, exits[w], LEFT + all + 5,
            y + BAR - 4, m->cpu_ns / 1000000, (unsigned)(m->cpu_ns / 10000 % 100));
    if (w)
        fprintf(f, " (%" PRIu64 ".%02ux)", gain / 100, (unsigned)(gain % 100));
    fprintf(f, "</text>\n");
}

bool plot_write(FILE *f, const struct result *r, int n)
{
    static const char *const keys[N_WAYS] = {"#7d7869", "#3f6fa8", "#3f8a45"};
    static const char *const texts[N_WAYS] = {"emulated: interpreter, PC hardware",
                                              "translated: the same hardware",
                                              "paravirt: hypercalls, virtio"};
    struct scale s = find_scale(r, n);
    int bottom = HEAD + n * GROUP;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
            "%d\" font-family=\"sans-serif\" font-size=\"11.5\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fffdf6\"/>\n"
            "<text x=\"%d\" y=\"22\" font-size=\"16\">The same guest work, three ways (CPU time, "
            "logarithmic; in brackets the gain over the bar above)</text>\n",
            WIDTH, bottom + FOOT, WIDTH, bottom + FOOT, 12);
    for (int w = 0; w < N_WAYS; w++)
        fprintf(f,
                "<rect x=\"%d\" y=\"36\" width=\"12\" height=\"12\" fill=\"%s\"/>"
                "<text x=\"%d\" y=\"46\">%s</text>\n",
                12 + w * 230, keys[w], 30 + w * 230, texts[w]);
    fprintf(f, "<text x=\"712\" y=\"46\">dark: the part spent in exits</text>\n");
    grid(f, &s, bottom);
    for (int k = 0; k < n; k++) {
        int y = HEAD + k * GROUP;
        fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-size=\"13\">%s</text>\n",
                LEFT - 8, y + GROUP / 2, r[k].w->name);
        for (int w = 0; w < N_WAYS; w++)
            if (r[k].way[w].done)
                bar(f, &s, &r[k], (enum way)w, y + w * BAR);
    }
    fprintf(f, "</svg>\n");
    return !ferror(f);
}
