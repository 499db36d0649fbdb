/*
 * tests/check/test_files.c - vector files: what is written is read again; hostile ones are refused.
 */
#include <criterion/criterion.h>

#include "frontends/check/vector.h"
#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fill(struct vector *v, int bits)
{
    vector_init(v);
    v->index = 7;
    v->bits = bits;
    v->env = bits == 64 ? VENV_USER : VENV_REAL;
    snprintf(v->name, sizeof(v->name), "add \"x\\");
    memcpy(v->bytes, "\x00\xe1\xf4", 3);
    v->len = 3;
    v->has_hash = true;
    for (int k = 0; k < 20; k++)
        v->hash[k] = (u8)(k * 7);
    u64 all = bits == 64 ? 0xfedcba9876543210ull : bits == 32 ? 0x76543210 : 0x3210;
    for (int r = 0; r < VREG_COUNT; r++) {
        bool old = r < 8 || (r >= VREG_RIP && r <= VREG_DS);
        if (bits == 64 || old)
            vector_set(&v->init, r, r >= VREG_ES && r <= VREG_GS ? 0x1230u + (u32)r : all + (u32)r);
    }
    vector_set(&v->final, 3, 99);
    vector_set(&v->final, VREG_RFLAGS, 0x46);
    cr_assert(vector_add_cell(&v->init, bits == 64 ? 0x7fff12345678 : 0xfffff, 0xab));
    cr_assert(vector_add_cell(&v->final, 0x10, 0));
    v->mask.have = 1u << VREG_RFLAGS;
    v->mask.reg[VREG_RFLAGS] = 0xffef;
    v->ex.number = 14;
    if (bits != 64) {
        v->ex.has_flags_addr = true;
        v->ex.flags_addr = 0x12345;
        return;
    }
    v->ex.has_error = v->ex.has_fault_addr = true;
    v->ex.error = 7;
    v->ex.fault_addr = 0x8000000000001000ull;
    v->init.has_xsave = v->final.has_xsave = v->mask.has_xsave = true;
    for (int k = 0; k < CPU_XSAVE_SIZE; k++)
        v->init.xsave[k] = k % 5 ? (u8)k : 0;
    memcpy(v->final.xsave, v->init.xsave, CPU_XSAVE_SIZE);
    v->final.xsave[0] ^= 1;
    v->final.xsave[831] ^= 1;
    memset(v->mask.xsave, 0xff, CPU_XSAVE_SIZE);
    v->mask.xsave[24] = 0xc0;
}

static void same_state(const struct vector_state *a, const struct vector_state *b)
{
    cr_assert_eq(a->have, b->have);
    for (int r = 0; r < VREG_COUNT; r++)
        if (a->have >> r & 1)
            cr_assert_eq(a->reg[r], b->reg[r], "register %d", r);
    cr_assert_eq(a->n_cells, b->n_cells);
    for (u32 k = 0; k < a->n_cells; k++)
        cr_assert(a->cells[k].addr == b->cells[k].addr && a->cells[k].value == b->cells[k].value);
    cr_assert_eq(a->has_xsave, b->has_xsave);
    if (a->has_xsave)
        cr_assert_arr_eq(a->xsave, b->xsave, CPU_XSAVE_SIZE);
}

static void round_trip(int bits, enum vector_format format, const char *end)
{
    struct vector_meta m = {
        .bits = bits, .env = bits == 64 ? VENV_USER : VENV_REAL, .cpu_name = "some \"processor\""};
    struct vector v, w;
    struct vector_out *o;
    struct vector_file *f;
    struct error err;
    char path[64];

    snprintf(m.cpu, sizeof(m.cpu), "%s", bits == 64 ? "X64 " : bits == 32 ? "386E" : "C286");
    snprintf(path, sizeof(path), "/tmp/trv-vec-%d-%d%s", (int)getpid(), bits, end);
    fill(&v, bits);
    if (bits == 32)
        v.bits = m.bits = 16; /* real mode of a 386 */
    cr_assert(vector_create(path, format, &m, &o, &err) == ST_OK, "%s", err.msg);
    cr_assert(vector_write(o, &v, &err) == ST_OK && vector_write(o, &v, &err) == ST_OK);
    cr_assert(vector_out_close(o, &err) == ST_OK, "%s", err.msg);
    cr_assert(vector_open(path, &f, &err) == ST_OK, "%s", err.msg);
    unlink(path);
    cr_assert_eq(vector_count(f), 2);
    cr_assert_str_eq(vector_meta(f)->cpu, m.cpu);
    cr_assert_str_eq(vector_meta(f)->cpu_name, m.cpu_name);
    vector_init(&w);
    cr_assert(vector_read(f, 1, &w, &err) == ST_OK, "%s", err.msg);
    cr_assert(w.index == 7 && w.bits == v.bits && w.env == v.env && w.len == 3);
    cr_assert_str_eq(w.name, v.name);
    cr_assert(w.has_hash && !memcmp(w.hash, v.hash, 20) && !memcmp(w.bytes, v.bytes, 3));
    same_state(&v.init, &w.init);
    same_state(&v.final, &w.final);
    cr_assert(w.mask.have == v.mask.have && w.mask.reg[VREG_RFLAGS] == 0xffef);
    cr_assert_eq(w.mask.has_xsave, v.mask.has_xsave);
    if (v.mask.has_xsave)
        cr_assert_arr_eq(w.mask.xsave, v.mask.xsave, CPU_XSAVE_SIZE);
    cr_assert(w.ex.number == 14 && w.ex.error == v.ex.error && w.ex.fault_addr == v.ex.fault_addr &&
              w.ex.flags_addr == v.ex.flags_addr);
    cr_assert(vector_read(f, 2, &w, &err) == ST_NOENT);
    vector_close(f);
    vector_free(&v);
    vector_free(&w);
}

Test(files, moo_round_trip)
{
    round_trip(16, VECTOR_MOO, ".MOO");
    round_trip(32, VECTOR_MOO, ".MOO.gz");
    round_trip(64, VECTOR_MOO, ".MOO.gz");
}

Test(files, json_round_trip)
{
    round_trip(16, VECTOR_JSON, ".json");
    round_trip(32, VECTOR_JSON, ".json.gz");
    round_trip(64, VECTOR_JSON, ".json");
}

Test(files, public_json)
{
    static const char text[] =
        "[ {\"name\":\"add cl, ah\",\"bytes\":[0,225],\"initial\":{\"regs\":{\"ax\":13212,"
        "\"ip\":22673,\"flags\":64663},\"ram\":[[975393,0],[975394,225]],\"queue\":[0,225]},"
        "\"final\":{\"regs\":{\"cx\":47835},\"ram\":[],\"queue\":[]},"
        "\"cycles\":[[0,39987,\"--\",\"]}\",0]],"
        "\"hash\":\"3cef51a56be51f983826f6611a489dfbc35dfdf5\",\"idx\":3} ]";
    struct vector_file *f;
    struct vector v;
    struct error err;
    cr_assert(vector_open_memory(text, strlen(text), "text", &f, &err) == ST_OK, "%s", err.msg);
    vector_init(&v);
    cr_assert_eq(vector_count(f), 1);
    cr_assert(vector_read(f, 0, &v, &err) == ST_OK, "%s", err.msg);
    cr_assert(v.index == 3 && v.len == 2 && v.bytes[1] == 225 && v.init.reg[0] == 13212);
    cr_assert(v.init.n_cells == 2 && v.final.reg[1] == 47835 && v.hash[0] == 0x3c);
    vector_free(&v);
    vector_close(f);
}

/* Every prefix of a good file, and the file with each byte changed, must be read or refused. */
static void hostile(enum vector_format format)
{
    struct vector_meta m = {.cpu = "X64 ", .bits = 64, .env = VENV_USER};
    struct vector v, w;
    struct vector_out *o;
    struct error err;
    static u8 good[65536], bad[65536];
    char path[64];

    snprintf(path, sizeof(path), "/tmp/trv-hostile-%d-%d", (int)getpid(), format);
    fill(&v, 64);
    v.init.xsave[100] = 0;
    cr_assert(vector_create(path, format, &m, &o, &err) == ST_OK, "%s", err.msg);
    cr_assert(vector_write(o, &v, &err) == ST_OK);
    cr_assert(vector_out_close(o, &err) == ST_OK, "%s", err.msg);
    FILE *h = fopen(path, "rb");
    size_t n = fread(good, 1, sizeof(good), h);
    fclose(h);
    unlink(path);
    vector_init(&w);
    u32 seed = 1;
    for (size_t k = 0; k < 2 * n; k++) {
        struct vector_file *f;
        size_t len = n;
        memcpy(bad, good, n);
        if (k < n) {
            len = k;
        } else {
            seed = seed * 1103515245 + 12345;
            bad[k - n] = (u8)(seed >> 16);
        }
        if (vector_open_memory(bad, len, "hostile", &f, &err) != ST_OK)
            continue;
        for (u32 t = 0; t < vector_count(f); t++)
            vector_read(f, t, &w, &err);
        vector_close(f);
    }
    vector_free(&v);
    vector_free(&w);
}

Test(files, hostile_moo)
{
    hostile(VECTOR_MOO);
}

Test(files, hostile_json)
{
    hostile(VECTOR_JSON);
}
