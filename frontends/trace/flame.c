/*
 * frontends/trace/flame.c - see flame.h. One pass over the sorted stacks: a box stays open while
 * the lines share its path, and is drawn when it closes.
 */
#include "frontends/trace/flame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 1200, ROW = 17, MARGIN = 10, HEAD = 40, DEPTH = 256, CHAR_TENTHS = 72 };

struct box {
    const char *name;
    int len;
    u64 from;
};

static void put_text(FILE *f, const char *s, int n)
{
    for (int k = 0; k < n && s[k]; k++) {
        switch (s[k]) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        default:
            fputc(s[k], f);
        }
    }
}

/* Names are coloured by what they are, the same in every picture. */
static void colour(FILE *f, const char *name, int len)
{
    u32 h = 2166136261u;
    for (int k = 0; k < len; k++)
        h = (h ^ (u8)name[k]) * 16777619u;
    int a = (int)(h % 40), b = (int)(h >> 8) % 50;
    if (b < 0)
        b = -b;
    if (name[0] == '[')
        fprintf(f, "rgb(%d,%d,%d)", 150 + a, 165 + a, 180 + b);
    else
        fprintf(f, "rgb(%d,%d,%d)", 215 + a, 120 + b + a, 60 + b);
}

static void draw(FILE *f, const struct box *b, int level, int levels, u64 to, u64 total)
{
    double scale = (double)(WIDTH - 2 * MARGIN) / (double)total;
    double x = MARGIN + (double)b->from * scale, w = (double)(to - b->from) * scale;
    int y = HEAD + (levels - 1 - level) * ROW;
    if (w < 0.3)
        return;
    fprintf(f, "<g><title>");
    put_text(f, b->name, b->len);
    fprintf(f,
            " %.2f%% (%" PRIu64
            ")</title><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"",
            100.0 * (double)(to - b->from) / (double)total, to - b->from, x, y, w, ROW - 1);
    colour(f, b->name, b->len);
    fprintf(f, "\"/>");
    int room = (int)((w - 4) * 10 / CHAR_TENTHS);
    if (room >= 3) {
        fprintf(f, "<text x=\"%.1f\" y=\"%d\">", x + 2, y + 12);
        put_text(f, b->name, b->len <= room ? b->len : room - 2);
        fprintf(f, "%s</text>", b->len <= room ? "" : "..");
    }
    fprintf(f, "</g>\n");
}

static int levels_of(const char *text)
{
    int n = 1;
    for (; *text; text++)
        n += *text == ';';
    return n < DEPTH ? n : DEPTH;
}

bool flame_write(FILE *f, const char *title, const struct flame_line *lines, u32 n)
{
    struct box *open = calloc(DEPTH, sizeof(*open));
    u64 total = 0, at = 0;
    int levels = 1, depth = 0;
    if (!open)
        return false;
    for (u32 k = 0; k < n; k++) {
        total += lines[k].weight;
        levels = MAX(levels, levels_of(lines[k].text));
    }
    total = MAX(total, (u64)1);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
            "%d\" font-family=\"monospace\" font-size=\"11.5\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fffdf6\"/>\n"
            "<text x=\"%d\" y=\"24\" text-anchor=\"middle\" font-size=\"16\">",
            WIDTH, HEAD + levels * ROW + MARGIN, WIDTH, HEAD + levels * ROW + MARGIN, WIDTH / 2);
    put_text(f, title, (int)strlen(title));
    fprintf(f, "</text>\n");
    for (u32 k = 0; k < n; k++) {
        const char *p = lines[k].text;
        int level = 0;
        /* what it shares with the boxes that are open */
        for (; level < depth; level++) {
            int len = (int)strcspn(p, ";");
            if (len != open[level].len || memcmp(p, open[level].name, (size_t)len))
                break;
            p += len;
            if (!*p) {
                level++;
                break;
            }
            p++;
        }
        bool ended = level && !*p;
        while (depth > level) {
            depth--;
            draw(f, &open[depth], depth, levels, at, total);
        }
        for (; !ended && depth < DEPTH; depth++) {
            int len = (int)strcspn(p, ";");
            open[depth] = (struct box){p, len, at};
            p += len;
            if (!*p) {
                depth++;
                break;
            }
            p++;
        }
        at += lines[k].weight;
    }
    while (depth) {
        depth--;
        draw(f, &open[depth], depth, levels, at, total);
    }
    fprintf(f, "</svg>\n");
    free(open);
    return true;
}
