/*
 * frontends/check/report.c - a failure for a person; JUnit and TAP for programs.
 */
#include "frontends/check/check_priv.h"
#include "frontends/disasm.h"

#include <string.h>

static void put_flags(struct buf *b, u64 f)
{
    static const char names[] = "C.P.A.ZSTIDO";
    char text[13];
    for (int k = 0; k < 12; k++)
        text[11 - k] = names[k] == '.' ? '.' : f >> k & 1 ? names[k] : '-';
    int n = 0;
    for (int k = 0; k < 12; k++)
        if (text[k] != '.')
            text[n++] = text[k];
    text[n] = 0;
    buf_text(b, " %s", text);
}

static void put_diff(struct buf *b, const struct vector *v, const struct diff *d)
{
    int w = v->bits == 64 ? 16 : v->bits == 32 || (d->want | d->got | d->before) >> 16 ? 8 : 4;
    switch (d->kind) {
    case DIFF_REG:
        if (d->reg >= VREG_ES && d->reg <= VREG_GS)
            w = 4;
        buf_text(b, "    %-9s was %0*llx, recorded %0*llx, got %0*llx",
                 vector_reg_name(d->reg, v->bits), w, (unsigned long long)d->before, w,
                 (unsigned long long)d->want, w, (unsigned long long)d->got);
        if (d->reg == VREG_RFLAGS) {
            buf_text(b, ":");
            put_flags(b, d->want);
            buf_text(b, " /");
            put_flags(b, d->got);
        }
        buf_text(b, "\n");
        break;
    case DIFF_MEM:
        buf_text(b, "    [%06llx]  was %02x, recorded %02x, got %02x\n",
                 (unsigned long long)d->addr, (u8)d->before, (u8)d->want, (u8)d->got);
        break;
    case DIFF_XSAVE: {
        u32 k = (u32)d->addr;
        char name[24];
        if (k < 32)
            snprintf(name, sizeof(name), "%s",
                     k < 2    ? "fcw"
                     : k < 4  ? "fsw"
                     : k < 6  ? "ftw"
                     : k < 8  ? "fop"
                     : k < 16 ? "fip"
                     : k < 24 ? "fdp"
                              : "mxcsr");
        else if (k < 160)
            snprintf(name, sizeof(name), "st%u.%u", (k - 32) / 16, k % 16);
        else
            snprintf(name, sizeof(name), "ymm%u.%u", (k < 576 ? k - 160 : k - 576) / 16,
                     k % 16 + (k < 576 ? 0 : 16));
        buf_text(b, "    %-9s was %02x, recorded %02x, got %02x\n", name, (u8)d->before,
                 (u8)d->want, (u8)d->got);
        break;
    }
    case DIFF_EXCEPTION:
        buf_text(b, "    exception recorded %lld, got %lld (-1: none)\n", (long long)d->want,
                 (long long)d->got);
        break;
    case DIFF_TEXT:
        buf_text(b, "    %s\n", d->text);
        break;
    }
}

/* A word of a shell command. */
static void put_word(struct buf *b, const char *p)
{
    if (!p[strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+")] &&
        *p) {
        buf_put(b, p, strlen(p));
        return;
    }
    buf_u8(b, '\'');
    for (; *p; p++) {
        if (*p == '\'')
            buf_put(b, "'\\'", 3);
        buf_u8(b, (u8)*p);
    }
    buf_u8(b, '\'');
}

void report_failure(struct buf *b, const char *path, u32 n, const char *cpu, const char *engine,
                    const struct vector *v, u16 mask, const struct outcome *o)
{
    char text[DISASM_TEXT] = "(bad)";
    struct disasm *d = disasm_open(v->bits);
    int len = 0;
    if (d)
        len = disasm_one(d, v->bytes, v->len, v->init.reg[VREG_RIP], text, sizeof(text));
    disasm_close(d);
    if (len <= 0)
        len = MIN(v->len, 15);
    buf_text(b, "FAIL %s #%u: %s\n    ", path, n, v->name);
    for (int k = 0; k < len; k++)
        buf_text(b, "%02x ", v->bytes[k]);
    buf_text(b, "  %s\n", text);
    for (u32 k = 0; k < MIN(o->n_diffs, (u32)MAX_DIFFS); k++)
        put_diff(b, v, &o->diffs[k]);
    if (o->n_diffs > MAX_DIFFS)
        buf_text(b, "    and %u more\n", o->n_diffs - MAX_DIFFS);
    if (mask != 0xffff) {
        buf_text(b, "    undefined here:");
        put_flags(b, (u16)~mask);
        buf_text(b, "\n");
    }
    buf_text(b, "    again: trivisor check --cpu %s --engine %s ", cpu, engine);
    put_word(b, path);
    buf_text(b, "#%u\n", n);
}

/* ---- JUnit ---------------------------------------------------------------------------------- */
static void put_xml(FILE *f, const char *p)
{
    for (; *p; p++) {
        if (*p == '<')
            fputs("&lt;", f);
        else if (*p == '>')
            fputs("&gt;", f);
        else if (*p == '&')
            fputs("&amp;", f);
        else if (*p == '"')
            fputs("&quot;", f);
        else
            fputc((u8)*p < 0x20 && *p != '\n' && *p != '\t' ? '?' : *p, f);
    }
}

bool report_junit(const struct check_options *o, const struct file_result *r)
{
    FILE *f = fopen(o->junit, "we");
    u32 failed = 0, skipped = 0;
    double seconds = 0;
    if (!f)
        return false;
    for (u32 k = 0; k < o->n_files; k++) {
        failed += r[k].failed != 0;
        skipped += !r[k].failed && !r[k].passed;
        seconds += r[k].seconds;
    }
    fprintf(f,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuites>\n<testsuite name=\"trivisor check\" tests=\"%u\" failures=\"%u\" "
            "skipped=\"%u\" time=\"%.3f\">\n",
            o->n_files, failed, skipped, seconds);
    for (u32 k = 0; k < o->n_files; k++) {
        const char *path = o->files[k].path, *base = strrchr(path, '/');
        fputs("<testcase classname=\"", f);
        char dir[4096];
        snprintf(dir, sizeof(dir), "%.*s", base ? (int)(base - path) : 1, base ? path : ".");
        put_xml(f, dir);
        fputs("\" name=\"", f);
        put_xml(f, base ? base + 1 : path);
        fprintf(f, "\" assertions=\"%u\" time=\"%.3f\">", r[k].passed + r[k].failed, r[k].seconds);
        if (r[k].failed) {
            fprintf(f, "\n<failure message=\"%u of %u vectors failed\">", r[k].failed,
                    r[k].failed + r[k].passed);
            put_xml(f, r[k].text ? r[k].text : "");
            fputs("</failure>\n", f);
        } else if (!r[k].passed) {
            fputs("<skipped/>", f);
        }
        fputs("</testcase>\n", f);
    }
    fputs("</testsuite>\n</testsuites>\n", f);
    bool ok = !ferror(f);
    return !fclose(f) && ok;
}

/* ---- TAP ------------------------------------------------------------------------------------ */
void report_tap(const struct check_options *o, const struct file_result *r)
{
    printf("TAP version 13\n1..%u\n", o->n_files);
    for (u32 k = 0; k < o->n_files; k++) {
        bool none = !r[k].passed && !r[k].failed;
        printf("%sok %u - %s%s\n", r[k].failed ? "not " : "", k + 1, o->files[k].path,
               none ? " # SKIP no test of it was run" : "");
        if (!r[k].failed)
            continue;
        printf("  ---\n  message: %u of %u vectors failed\n  details: |\n", r[k].failed,
               r[k].failed + r[k].passed);
        for (const char *p = r[k].text ? r[k].text : ""; *p;) {
            size_t n = strcspn(p, "\n");
            printf("    %.*s\n", (int)n, p);
            p += n + (p[n] == '\n');
        }
        printf("  ...\n");
    }
}
