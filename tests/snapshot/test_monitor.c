/*
 * tests/snapshot/test_monitor.c - the line monitor: commands, answers, what is no command, and that
 * a machine which stands goes on.
 */
#include "tests/snapshot/snapshot_rig.h"

#include "frontends/monitor/monitor.h"

struct line {
    struct machine m;
    struct chardev c;
    struct monitor *mon;
    char text[65536];
    size_t n;
};

static void line_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct line *l = container_of(c, struct line, c);
    len = MIN(len, sizeof(l->text) - 1 - l->n);
    memcpy(l->text + l->n, buf, len);
    l->n += len;
    l->text[l->n] = 0;
}

static struct line *line_new(bool tty)
{
    static const struct chardev_ops ops = {.write = line_write};
    struct line *l = calloc(1, sizeof(*l));
    machine_init(&l->m);
    l->m.cfg.flat_path = DEMO_ROM;
    l->m.cfg.any_engine = true;
    cr_assert_eq(machine_start(&l->m), ST_OK);
    l->c.ops = &ops;
    l->mon = monitor_new(&l->c, tty, true);
    monitor_start(l->mon, l->m.vm, true);
    return l;
}

static void line_free(struct line *l)
{
    monitor_free(l->mon);
    cr_expect_null(l->c.recv);
    vm_free(l->m.vm);
    free(l);
}

static const char *typed(struct line *l, const char *text, size_t len)
{
    l->n = 0;
    l->text[0] = 0;
    l->c.recv(l->c.ctx, (const u8 *)text, len);
    return l->text;
}

static const char *say_to(struct line *l, const char *text)
{
    return typed(l, text, strlen(text));
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

Test(monitor, commands)
{
    struct line *l = line_new(false);
    struct folder f;
    char cmd[256], state[128];
    folder_new(&f);
    strcpy(state, in(&f, "a state"));
    cr_expect_str_eq(l->text, "", "a program gets no prompt");
    cr_expect(has(say_to(l, "help\n"), "savevm FILE [TITLE]"));
    cr_expect(has(l->text, "\nok\n"));
    cr_expect(has(say_to(l, "info\r\n"), "running\nengine "), "%s", l->text);
    cr_expect_str_eq(say_to(l, "\n"), "", "an empty line is none");
    cr_expect(has(say_to(l, "info registers\n"), "RIP="));
    cr_expect(has(say_to(l, "info wrong\n"), "error: info knows"));
    cr_expect(has(say_to(l, "wrong\n"), "error: no command 'wrong'"));
    cr_expect_str_eq(say_to(l, "engine interp\n"), "ok\n");
    cr_expect_str_eq(say_to(l, "engine\n"), "interp\nok\n");
    cr_expect(has(say_to(l, "engine warp\n"), "error: "));
    /* halves of lines, and two at once */
    cr_expect_str_eq(say_to(l, "eng"), "");
    cr_expect_str_eq(say_to(l, "ine\nengine\n"), "interp\nok\ninterp\nok\n");

    vm_run_insns(l->m.vm, 100000, &l->m.err);
    snprintf(cmd, sizeof(cmd), "savevm \"%s\" a title of words \n", state);
    cr_expect_str_eq(say_to(l, cmd), "ok\n");
    snprintf(cmd, sizeof(cmd), "info snapshot \"%s\"\n", state);
    cr_expect(has(say_to(l, cmd), "title    a title of words\n"), "%s", l->text);
    u64 then = vm_icount(l->m.vm);
    vm_run_insns(l->m.vm, 100000, &l->m.err);
    snprintf(cmd, sizeof(cmd), "loadvm \"%s\"\n", state);
    cr_expect_str_eq(say_to(l, cmd), "ok\n");
    cr_expect_eq(vm_icount(l->m.vm), then);
    cr_expect(has(say_to(l, "loadvm /nonexistent\n"), "error: cannot open /nonexistent"));
    cr_expect(has(say_to(l, "loadvm\n"), "error: loadvm wants a file"));
    cr_expect(has(say_to(l, "savevm /nonexistent/x\n"), "error: cannot write /nonexistent/x"));
    snprintf(cmd, sizeof(cmd), "screendump %s\n", in(&f, "s.ppm"));
    cr_expect_str_eq(say_to(l, cmd), "ok\n");
    cr_expect_eq(access(in(&f, "s.ppm"), R_OK), 0);
    cr_expect_str_eq(say_to(l, "speed\n"), "max\nok\n");
    cr_expect(has(say_to(l, "speed 5\n"), "error: with -icount"), "%s", l->text);
    cr_expect(has(say_to(l, "speed fast\n"), "error: 'fast'"));
    /* media */
    cr_expect(has(say_to(l, "info block\n"), "fd0: empty\n"), "%s", l->text);
    static u8 floppy[1440 * KIB];
    bytes_file(in(&f, "disk"), floppy, sizeof(floppy));
    snprintf(cmd, sizeof(cmd), "change fd0 %s ro\n", in(&f, "disk"));
    cr_expect_str_eq(say_to(l, cmd), "ok\n");
    cr_expect(has(say_to(l, "info block\n"), "/disk, read-only\n"), "%s", l->text);
    cr_expect_str_eq(say_to(l, "eject fd0\n"), "ok\n");
    cr_expect(has(say_to(l, "info block\n"), "fd0: empty\n"));
    cr_expect(has(say_to(l, "change fd0 /nonexistent\n"), "error: /nonexistent"));
    cr_expect(has(say_to(l, "change fd0\n"), "error: change wants"));
    cr_expect(has(say_to(l, "eject hda\n"), "error: no drive 'hda'"));
    line_free(l);
    folder_free(&f);
}

/* pause makes vm_run() return; monitor_hold() stays until cont, and says that the run goes on. */
Test(monitor, pause_and_cont)
{
    struct line *l = line_new(false);
    volatile sig_atomic_t signalled = 0;
    cr_expect(!monitor_hold(l->mon, &signalled), "nobody paused it");
    cr_expect_str_eq(say_to(l, "pause\n"), "ok\n");
    cr_expect_eq(vm_run(l->m.vm, &l->m.err), VM_STOP_REQUEST);
    cr_expect(has(say_to(l, "info\n"), "paused\n"));
    signalled = 1;
    cr_expect(!monitor_hold(l->mon, &signalled), "a signal ends the run");
    signalled = 0;
    /* before it is even there: both at once */
    cr_expect_str_eq(say_to(l, "cont\n"), "ok\n");
    cr_expect(monitor_hold(l->mon, &signalled));
    cr_expect_str_eq(say_to(l, "pause\nstop\ncont\nc\n"), "ok\nok\nok\nok\n");
    cr_expect_eq(vm_run(l->m.vm, &l->m.err), VM_STOP_REQUEST);
    cr_expect(monitor_hold(l->mon, &signalled));
    cr_expect_eq(vm_run_insns(l->m.vm, 1000, &l->m.err), VM_STOP_REQUEST);
    cr_expect_str_eq(say_to(l, "quit\n"), "ok\n");
    cr_expect_eq(vm_run(l->m.vm, &l->m.err), VM_STOP_REQUEST);
    cr_expect(!monitor_hold(l->mon, &signalled));
    cr_expect_eq(l->c.space(l->c.ctx), 0, "nothing is taken after quit");
    line_free(l);
}

Test(monitor, a_person_sees_and_edits_the_line)
{
    struct line *l = line_new(true);
    cr_expect_str_eq(l->text, "(trivisor) ");
    cr_expect_str_eq(say_to(l, "engx"), "engx");
    cr_expect_str_eq(say_to(l, "\x7f"), "\b \b");
    cr_expect(has(say_to(l, "ine interp\r"), "ok\r\n(trivisor) "));
    cr_expect(has(say_to(l, "rubbish\x15"
                            "engine\r"),
                  "interp\r\nok"),
              "%s", l->text);
    cr_expect_str_eq(say_to(l, "\xc3\xa4\x7f\x7f"), "\xc3\xa4\b \b", "one character of two bytes");
    line_free(l);
}

/* Whatever comes is answered or dropped. */
Test(monitor, rubbish)
{
    struct line *l = line_new(false);
    static char longer[5000];
    u64 x = 1234567;
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 2] = '\n';
    cr_expect(has(say_to(l, longer), "error: a command has at most 1023 characters"));
    cr_expect_eq(strlen(l->text), strlen("error: a command has at most 1023 characters\n"));
    cr_expect(has(say_to(l, "x\033[2Jy\n"), "error: no command 'x?[2Jy'"), "%s", l->text);
    cr_expect(has(typed(l, "a\0b\n", 4), "error: no command 'a?b'"), "%s", l->text);
    for (int k = 0; k < 20000; k++) {
        char b[16];
        for (size_t j = 0; j < sizeof(b); j++) {
            x = x * 6364136223846793005ull + 1442695040888963407ull;
            b[j] = (char)(x >> 56);
        }
        b[15] = k % 3 ? b[15] : '\n';
        typed(l, b, sizeof(b));
        for (size_t j = 0; j < l->n; j++)
            cr_assert((u8)l->text[j] >= ' ' || l->text[j] == '\n');
    }
    cr_expect_str_eq(say_to(l, "\nengine\n") + l->n - 3, "ok\n");
    line_free(l);
}
