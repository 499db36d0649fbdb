/*
 * frontends/symbols.c - see symbols.h.
 *
 * One sorted array, code symbols first. Several at one address: the global one wins, then the one
 * that comes first in the alphabet, so that the result does not depend on the file's order.
 */
#include "frontends/symbols.h"
#include "base/bits.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SYMBOLS = 16 << 20, MAX_NAME = 255, REACH = 1 << 20 };

struct symbol {
    u64 addr, size; /* size 0: not known */
    u64 name;       /* offset in `text` */
    bool code, global;
};

struct symbols {
    struct symbol *list;
    size_t n, room, n_code;
    char *text;
    u64 text_len, text_room;
};

struct symbols *symbols_new(void)
{
    return calloc(1, sizeof(struct symbols));
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->list);
    free(s->text);
    free(s);
}

size_t symbols_count(const struct symbols *s)
{
    return s->n;
}

static bool add(struct symbols *s, u64 addr, u64 size, bool code, bool global, const char *name,
                size_t len)
{
    len = MIN(len, (size_t)MAX_NAME);
    if (s->n == MAX_SYMBOLS)
        return true;
    if (s->n == s->room) {
        size_t room = s->room ? s->room * 2 : 1024;
        struct symbol *p = realloc(s->list, room * sizeof(*p));
        if (!p)
            return false;
        s->list = p;
        s->room = room;
    }
    if (s->text_len + len + 1 > s->text_room) {
        u64 room = MAX(s->text_room * 2, (u64)65536);
        char *p = realloc(s->text, room);
        if (!p)
            return false;
        s->text = p;
        s->text_room = room;
    }
    memcpy(s->text + s->text_len, name, len);
    s->text[s->text_len + len] = 0;
    for (size_t k = 0; k < len; k++) /* names reach terminals and SVG */
        if ((unsigned char)name[k] <= ' ' || (unsigned char)name[k] >= 127)
            s->text[s->text_len + k] = '?';
    s->list[s->n++] = (struct symbol){addr, size, s->text_len, code, global};
    s->text_len += len + 1;
    return true;
}

/* ---- ELF ------------------------------------------------------------------------------------ */
struct image {
    const u8 *p;
    u64 n;
};

static bool inside(const struct image *m, u64 off, u64 len)
{
    return off <= m->n && len <= m->n - off;
}

struct section {
    u32 type, link;
    u64 off, size, entsize, flags;
};

static bool section_at(const struct image *m, bool wide, u64 table, u16 step, u32 k,
                       struct section *s)
{
    u64 off = table + (u64)k * step;
    if (off < table || !inside(m, off, wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)))
        return false;
    if (wide) {
        Elf64_Shdr h;
        memcpy(&h, m->p + off, sizeof(h));
        *s = (struct section){h.sh_type, h.sh_link,    h.sh_offset,
                              h.sh_size, h.sh_entsize, h.sh_flags};
    } else {
        Elf32_Shdr h;
        memcpy(&h, m->p + off, sizeof(h));
        *s = (struct section){h.sh_type, h.sh_link,    h.sh_offset,
                              h.sh_size, h.sh_entsize, h.sh_flags};
    }
    return s->type == SHT_NOBITS || inside(m, s->off, s->size);
}

static enum status load_elf(struct symbols *s, const struct image *m, u64 slide, struct error *err)
{
    Elf64_Ehdr h = {0};
    bool wide = m->n > EI_CLASS && m->p[EI_CLASS] == ELFCLASS64;
    struct section tab = {0}, str, sec;
    u32 sections;

    if (m->n < sizeof(Elf64_Ehdr) || m->p[EI_DATA] != ELFDATA2LSB)
        return fail(err, ST_FORMAT, "not a little-endian ELF file");
    if (wide) {
        memcpy(&h, m->p, sizeof(h));
    } else {
        Elf32_Ehdr h32;
        memcpy(&h32, m->p, sizeof(h32));
        h.e_shoff = h32.e_shoff;
        h.e_shnum = h32.e_shnum;
        h.e_shentsize = h32.e_shentsize;
    }
    sections = h.e_shnum;
    for (u32 k = 0; k < sections; k++) {
        if (!section_at(m, wide, h.e_shoff, h.e_shentsize, k, &sec))
            return fail(err, ST_FORMAT, "damaged ELF file: section %u", k);
        if (sec.type == SHT_SYMTAB || (sec.type == SHT_DYNSYM && tab.type != SHT_SYMTAB))
            tab = sec;
    }
    if (!tab.type)
        return fail(err, ST_FORMAT, "no symbol table (stripped?)");
    u64 step = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
    if (tab.link >= sections || !section_at(m, wide, h.e_shoff, h.e_shentsize, tab.link, &str) ||
        str.type != SHT_STRTAB)
        return fail(err, ST_FORMAT, "damaged ELF file: names");
    for (u64 off = 0; off + step <= tab.size; off += step) {
        Elf64_Sym y;
        if (wide) {
            memcpy(&y, m->p + tab.off + off, sizeof(y));
        } else {
            Elf32_Sym z;
            memcpy(&z, m->p + tab.off + off, sizeof(z));
            y = (Elf64_Sym){z.st_name, z.st_info, z.st_other, z.st_shndx, z.st_value, z.st_size};
        }
        int type = ELF64_ST_TYPE(y.st_info);
        if (y.st_shndx == SHN_UNDEF || y.st_name >= str.size ||
            (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
            continue;
        const char *name = (const char *)m->p + str.off + y.st_name;
        size_t len = strnlen(name, str.size - y.st_name);
        bool code = type == STT_FUNC;
        if (type == STT_NOTYPE && y.st_shndx < sections &&
            section_at(m, wide, h.e_shoff, h.e_shentsize, y.st_shndx, &sec))
            code = sec.flags & SHF_EXECINSTR;
        if (len && !add(s, y.st_value + slide, y.st_size, code,
                        ELF64_ST_BIND(y.st_info) == STB_GLOBAL, name, len))
            return fail(err, ST_NOMEM, "out of memory");
    }
    return ST_OK;
}

/* ---- lists ---------------------------------------------------------------------------------- */
static enum status load_map(struct symbols *s, const struct image *m, u64 slide, struct error *err)
{
    const char *p = (const char *)m->p, *end = p + m->n;
    size_t before = s->n;
    for (int line = 1; p < end; line++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        u64 addr = 0;
        int digits = 0;
        const char *q = p;
        for (; q < eol && isxdigit((unsigned char)*q) && digits < 16; q++, digits++)
            addr = addr << 4 | (u64)(*q <= '9' ? *q - '0' : (*q | 32) - 'a' + 10);
        if (q < eol && *q == '\r')
            q++;
        if (q != p || q < eol) {
            if (!digits || eol - q < 4 || q[0] != ' ' || !isalpha((unsigned char)q[1]) ||
                q[2] != ' ')
                return fail(err, ST_FORMAT, "line %d: no \"address type name\"", line);
            char type = q[1];
            const char *name = q + 3;
            size_t len = 0;
            while (name + len < eol && !isspace((unsigned char)name[len]))
                len++;
            bool code = strchr("tTwW", type) != NULL;
            if (len && !add(s, addr + slide, 0, code, isupper((unsigned char)type), name, len))
                return fail(err, ST_NOMEM, "out of memory");
        }
        p = eol + (eol < end);
    }
    if (s->n - before < 2)
        return fail(err, ST_FORMAT, "no symbols in it");
    return ST_OK;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const struct symbol *x = a, *y = b;
    const char *text = ctx;
    if (x->code != y->code)
        return y->code - x->code;
    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    if (x->global != y->global)
        return y->global - x->global;
    return strcmp(text + x->name, text + y->name);
}

enum status symbols_load(struct symbols *s, const char *path, u64 slide, struct error *err)
{
    struct stat st;
    struct error why = {{0}};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    struct image m = {0};
    enum status r = ST_OK;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        r = fail(&why, ST_FORMAT, "not a regular file");
    else if (st.st_size < 8)
        r = fail(&why, ST_FORMAT, "no symbols in it");
    if (!r) {
        m.n = (u64)st.st_size;
        void *p = mmap(NULL, m.n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            r = fail(&why, status_from_errno(errno), "%s", strerror(errno));
        else
            m.p = p;
    }
    close(fd);
    size_t before = s->n;
    if (!r)
        r = !memcmp(m.p, ELFMAG, SELFMAG) ? load_elf(s, &m, slide, &why)
                                          : load_map(s, &m, slide, &why);
    if (m.p)
        munmap((void *)(uintptr_t)m.p, m.n);
    if (r) {
        s->n = before;
        return fail(err, r, "%s: %.400s", path, why.msg);
    }
    qsort_r(s->list, s->n, sizeof(*s->list), compare, s->text);
    s->n_code = 0;
    while (s->n_code < s->n && s->list[s->n_code].code)
        s->n_code++;
    return ST_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */
/* The first of those at the last address at or below addr; n_code: none. */
static size_t at_or_below(const struct symbols *s, u64 addr)
{
    size_t lo = 0, hi = s->n_code;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->list[mid].addr <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return s->n_code;
    for (lo--; lo && s->list[lo - 1].addr == s->list[lo].addr;)
        lo--;
    return lo;
}

const char *symbols_at(const struct symbols *s, u64 addr, u64 *offset)
{
    size_t k = at_or_below(s, addr);
    if (k == s->n_code)
        return NULL;
    const struct symbol *y = &s->list[k];
    u64 off = addr - y->addr;
    if (off >= (y->size ? y->size : REACH))
        return NULL;
    if (offset)
        *offset = off;
    return s->text + y->name;
}

bool symbols_find(const struct symbols *s, const char *name, u64 *addr)
{
    for (size_t k = 0; k < s->n; k++) {
        if (!strcmp(s->text + s->list[k].name, name)) {
            *addr = s->list[k].addr;
            return true;
        }
    }
    return false;
}

bool symbols_range(const struct symbols *s, const char *name, u64 *from, u64 *to)
{
    if (!symbols_find(s, name, from))
        return false;
    size_t k = at_or_below(s, *from);
    if (k == s->n_code)
        return false;
    u64 size = s->list[k].size;
    while (k < s->n_code && s->list[k].addr <= *from)
        k++;
    *to = size ? *from + size : k < s->n_code ? s->list[k].addr : *from + REACH;
    return true;
}

const char *symbols_text(const struct symbols *s, u64 addr, char *text, size_t size)
{
    u64 off;
    const char *name = s ? symbols_at(s, addr, &off) : NULL;
    if (!name)
        text[0] = 0;
    else if (off)
        snprintf(text, size, "%s+0x%llx", name, (unsigned long long)off);
    else
        snprintf(text, size, "%s", name);
    return text;
}
