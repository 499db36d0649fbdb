/*
 * tests/desktop/test_overlay.c - what is drawn over the guest's screen and beside it: letters, the
 * menu's lines, the chooser's folders, the live view's figures, recordings.
 */
#include <criterion/criterion.h>

#include "frontends/sdl/menu_priv.h"
#include "frontends/sdl/panel_priv.h"
#include "frontends/sdl/parts_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static u64 sum(const struct canvas *c)
{
    u64 h = 0xcbf29ce484222325ull;
    for (int k = 0; k < c->w * c->h; k++)
        h = (h ^ c->px[k]) * 0x100000001b3ull;
    return h;
}

Test(canvas, draws_inside)
{
    struct canvas c = {0};
    cr_assert(canvas_size(&c, 40, 20));
    canvas_fill(&c, -5, -5, 100, 100, 0xff112233);
    for (int k = 0; k < 800; k++)
        cr_assert_eq(c.px[k], 0xff112233);
    cr_assert(canvas_size(&c, 40, 20));
    cr_expect_eq(c.px[0], 0, "cleared");
    cr_expect_eq(canvas_text(&c, 35, 10, "Wide text", 0xffffffff), 35 + 9 * GLYPH_W);
    canvas_text(&c, -4, -8, "A", 0xffffffff);
    cr_expect_eq(canvas_text(&c, 0, 0, "\xc3\xa9", ~0u), GLYPH_W, "one letter, of two bytes");
    canvas_text_cut(&c, 0, 0, "a long text that does not fit", 4, ~0u);
    canvas_picture(&c, 30, 15, 20, 20, (const u32[]){1, 2, 3, 4}, 2, 2);
    cr_expect_eq(c.px[15 * 40 + 30], 0xff000001);
    cr_expect_not(canvas_size(&c, 0, 5));
    cr_expect_not(canvas_size(&c, 5000, 5));
    canvas_free(&c);
}

static int chosen(const struct menu *m)
{
    return m->n ? m->line[m->at].arg : -1;
}

Test(menu, keys_pass_over_what_cannot_be_chosen)
{
    struct menu m = {0};
    menu_clear(&m, "title");
    for (int k = 0; k < 40; k++)
        menu_add(&m, 1, k, NULL, "line %d", k)->dim = k == 0 || k == 3 || k == 4 || k == 39;
    menu_key(&m, MENU_FIRST);
    cr_expect_eq(chosen(&m), 1);
    menu_key(&m, MENU_UP);
    cr_expect_eq(chosen(&m), 1, "stays at the first");
    menu_key(&m, MENU_DOWN);
    menu_key(&m, MENU_DOWN);
    cr_expect_eq(chosen(&m), 5);
    menu_key(&m, MENU_UP);
    cr_expect_eq(chosen(&m), 2);
    menu_key(&m, MENU_LAST);
    cr_expect_eq(chosen(&m), 38);
    cr_expect(m.top <= 38 && m.top + MENU_ROWS > 38);
    menu_key(&m, MENU_PAGE_UP);
    cr_expect_eq(chosen(&m), 38 - MENU_ROWS);
    menu_go(&m, 3);
    cr_expect_eq(chosen(&m), 38 - MENU_ROWS, "dim");
    menu_type(&m, 'l');
    cr_expect_eq(chosen(&m), 39 - MENU_ROWS, "the next that begins so");
    for (const char *t = "ine 7"; *t; t++)
        menu_type(&m, *t);
    cr_expect_eq(chosen(&m), 7);
    menu_clear(&m, "empty");
    menu_key(&m, MENU_DOWN);
    menu_key(&m, MENU_LAST);
    menu_type(&m, 'x');
    cr_expect_eq(m.at, 0);
    menu_free(&m);
}

Test(menu, a_place_is_a_line)
{
    struct menu m = {0};
    struct canvas c = {0};
    menu_clear(&m, "title");
    for (int k = 0; k < 30; k++)
        menu_add(&m, 1, k, k & 1 ? "key" : NULL, "line %d", k);
    menu_go(&m, 20);
    menu_draw(&m, &c, NULL, 0, 0);
    u64 before = sum(&c);
    int seen[30] = {0}, last = -1;
    for (int y = -10; y < c.h + 10; y++) {
        int line = menu_hit(&m, c.w / 2, y);
        cr_assert(line >= -1 && line < 30 && (line < 0 || line >= last));
        if (line >= 0)
            seen[line]++;
        last = MAX(last, line);
    }
    for (int k = 0; k < 30; k++)
        cr_expect_eq(seen[k] > 0, k >= m.top && k < m.top + MENU_ROWS, "line %d", k);
    cr_expect_eq(menu_hit(&m, -1, c.h / 2), -1);
    menu_go(&m, 19);
    menu_draw(&m, &c, NULL, 0, 0);
    cr_expect_neq(sum(&c), before, "another line is chosen");
    menu_free(&m);
    canvas_free(&c);
}

static void make(const char *folder, const char *name, u64 size)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    cr_assert(f && ftruncate(fileno(f), (off_t)size) == 0);
    fclose(f);
}

Test(files, folders_first_and_images_only)
{
    char dir[] = "/tmp/trv-files-XXXXXX", path[FILES_PATH];
    struct menu m = {0};
    struct error err;
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/zz", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    make(dir, "b.img", 1440 * KIB);
    make(dir, "A.IMA", 720 * KIB);
    make(dir, "big.img", 4 * MIB);
    make(dir, "disc.iso", 4 * MIB);
    make(dir, "note.txt", 10);
    make(dir, "empty.img", 0);
    make(dir, ".hidden.img", 512);
    menu_clear(&m, dir);
    cr_assert_eq(files_list(&m, dir, true, false, 1, 2, &err), ST_OK);
    cr_assert_eq(m.n, 3);
    cr_expect(!strcmp(m.line[0].text, "zz/") && m.line[0].what == 1 && m.line[0].below);
    cr_expect(!strcmp(m.line[1].text, "A.IMA") && !strcmp(m.line[1].right, "720 KB"));
    cr_expect_str_eq(m.line[2].text, "b.img");
    menu_clear(&m, dir);
    files_list(&m, dir, false, false, 1, 2, &err);
    cr_expect_eq(m.n, 5, "and the large ones for a CD drive");
    menu_clear(&m, dir);
    files_list(&m, dir, false, true, 1, 2, &err);
    cr_expect_eq(m.n, 6);
    cr_expect_neq(files_list(&m, "/nonexistent", false, true, 1, 2, &err), ST_OK);
    cr_expect(strstr(err.msg, "/nonexistent"));
    menu_free(&m);
    snprintf(path, sizeof(path), "rm -r %s", dir);
    cr_assert_eq(system(path), 0);
}

Test(files, paths)
{
    char p[FILES_PATH], name[FILES_PATH];
    cr_expect(file_join("/a/b", "c/", p) && !strcmp(p, "/a/b/c"));
    cr_expect(file_join("/", "c", p) && !strcmp(p, "/c"));
    cr_expect(file_join("/a/b", "..", p) && !strcmp(p, "/a"));
    cr_expect(file_join("/a", "..", p) && !strcmp(p, "/"));
    cr_expect(file_join("/", "..", p) && !strcmp(p, "/"));
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    cr_expect_not(file_join("/a", name, p));
}

Test(panel, numbers_fit)
{
    static const struct {
        u64 n;
        const char *want;
    } rows[] = {{0, "0"},         {999, "999"},        {9999, "9999"},   {10000, "10.0k"},
                {123456, "123k"}, {99999999, "99.9M"}, {~0ull, "9999T"}, {12345678, "12.3M"}};
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        char text[8];
        panel_number(rows[k].n, text);
        cr_expect_str_eq(text, rows[k].want, "%s, not %s", text, rows[k].want);
    }
    cr_expect_eq(panel_rate(100, 600, 500000000), 1000);
    cr_expect_eq(panel_rate(600, 100, 500000000), 0, "it began anew");
    cr_expect_eq(panel_rate(0, 1, 0), 0);
}

Test(panel, looks_twice_before_it_shows)
{
    static struct panel p;
    struct canvas c = {0};
    struct vm_live v = {.host_ns = 1000000000, .ram_size = 128 * MIB, .tlb_room = 4096};
    u8 heat[VM_HEAT_CELLS] = {0};
    heat[5] = VM_HEAT_WRITE;
    cr_expect(panel_take(&p, &v, heat, 65536, "bt"));
    cr_expect_not(p.ready);
    v.host_ns += 100000000;
    cr_expect_not(panel_take(&p, &v, heat, 65536, "bt"), "too early to be read");
    v.host_ns += 900000000;
    v.stats.insns = 500000000;
    v.doing[VM_DOING_TRANSLATED] = 750000000;
    v.doing[VM_DOING_SLEEP] = 250000000;
    cr_expect(panel_take(&p, &v, heat, 65536, "bt"));
    cr_expect_eq(p.mips_top, 500);
    panel_draw(&p, &c);
    u64 first = sum(&c);
    heat[5] = 0;
    for (int k = 0; k < 10; k++) {
        v.host_ns += 1000000000;
        panel_take(&p, &v, heat, 65536, "bt");
    }
    cr_expect_eq(p.write[5], 0, "a mark fades");
    panel_draw(&p, &c);
    cr_expect_neq(sum(&c), first);
    v = (struct vm_live){.host_ns = v.host_ns + 1000000000, .ram_size = 4096};
    panel_take(&p, &v, heat, 4096, "interp"); /* counters went back */
    panel_draw(&p, &c);
    canvas_free(&c);
}
