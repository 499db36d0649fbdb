/*
 * frontends/lockstep/file.c - programs as text (docs/lockstep.md, "Stored programs").
 */
#include "frontends/cli_priv.h"
#include "frontends/disasm.h"
#include "frontends/lockstep/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum status program_save(const struct program *p, const char *path, struct error *err)
{
    FILE *f = fopen(path, "w");
    struct disasm *d = disasm_open(setup_bits(p->setup));
    int number[PROGRAM_MAX + 1], n = 0;
    if (!f) {
        disasm_close(d);
        return fail(err, status_from_errno(errno), "cannot write %s: %s", path, strerror(errno));
    }
    for (int k = 0; k < p->n; k++) {
        number[k] = n;
        n += !p->item[k].gone;
    }
    number[p->n] = n;
    fprintf(f, "lockstep 1\ncpu %s\nsetup %s\nstate %#" PRIx64 "\npace %#" PRIx64 "\n",
            p->cpu ? p->cpu : "host", setup_name(p->setup), p->state, p->pace);
    for (int k = 0; k < p->n; k++) {
        const struct item *i = &p->item[k];
        char text[DISASM_TEXT] = "";
        if (i->gone)
            continue;
        if (d)
            disasm_one(d, i->bytes, i->len, i->off, text, sizeof(text));
        fprintf(f, "insn ");
        for (int j = 0; j < i->len; j++)
            fprintf(f, "%02x", i->bytes[j]);
        if (i->rel_at)
            fprintf(f, " rel %d %d to %d", i->rel_at, i->rel_size, number[i->target]);
        fprintf(f, " # %d: %s\n", number[k], text);
    }
    disasm_close(d);
    bool bad = ferror(f);
    return fclose(f) || bad ? fail(err, ST_IO, "cannot write %s: %s", path, strerror(errno))
                            : ST_OK;
}

static bool parse_insn(struct program *p, const char *text)
{
    struct item *i = &p->item[p->n];
    int rel_at, rel_size, target;
    memset(i, 0, sizeof(*i));
    while (i->len < 15) {
        unsigned byte;
        if (sscanf(text, "%2x", &byte) != 1 || strcspn(text, " \n") < 2)
            break;
        i->bytes[i->len++] = (u8)byte;
        text += 2;
    }
    if (!i->len || (*text && *text != ' ' && *text != '\n'))
        return false;
    if (sscanf(text, " rel %d %d to %d", &rel_at, &rel_size, &target) == 3) {
        if (rel_at < 1 || rel_size < 1 || rel_size > 4 || rel_at + rel_size > i->len ||
            target < 0 || target > PROGRAM_MAX)
            return false;
        i->rel_at = (u8)rel_at;
        i->rel_size = (u8)rel_size;
        i->target = (u16)target;
    }
    p->n++;
    return true;
}

static bool parse_line(struct program *p, char *line, char *cpu)
{
    char word[64];
    if (!strncmp(line, "insn ", 5))
        return p->n < PROGRAM_MAX && parse_insn(p, line + 5);
    if (sscanf(line, "cpu %63s", cpu) == 1) {
        p->cpu = cpu;
        return true;
    }
    if (sscanf(line, "setup %63s", word) == 1) {
        int s = setup_find(word);
        p->setup = s < 0 ? SETUP_LONG : (enum setup)s;
        return s >= 0;
    }
    return sscanf(line, "state %" SCNx64, &p->state) == 1 ||
           sscanf(line, "pace %" SCNx64, &p->pace) == 1;
}

enum status program_load(struct program *p, const char *path, char *cpu, struct error *err)
{
    char line[512];
    int at = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return fail(err, status_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
    memset(p, 0, sizeof(*p));
    enum status st = ST_OK;
    while (!st && fgets(line, sizeof(line), f)) {
        bool first = !at++;
        if (first ? strcmp(line, "lockstep 1\n") != 0
                  : line[0] != '#' && line[0] != '\n' && !parse_line(p, line, cpu))
            st = fail(err, ST_FORMAT, "%s:%d: not understood", path, at);
    }
    if (!st && !p->n)
        st = fail(err, ST_FORMAT, "%s: no program", path);
    fclose(f);
    for (int k = 0; k < p->n; k++)
        p->item[k].target = (u16)MIN(p->item[k].target, p->n);
    return st;
}
