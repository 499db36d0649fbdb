/*
 * frontends/monitor/commands.c - what the monitor can do. Names are QEMU's where QEMU has the
 * thing.
 *
 * Paths are the host's, as the machine's own process sees them; relative ones from where it was
 * started. A path may be in double quotes.
 */
#include "frontends/cli_priv.h"
#include "frontends/display/shot.h"
#include "frontends/monitor/monitor_priv.h"
#include "frontends/save.h"
#include "machine/media.h"
#include "machine/snapshot.h"
#include "machine/trace.h"
#include "machine/views.h"
#include "machine/vm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ----------------------------------------------------------------------------------- */
/* The next word, or what is in quotes; "" at the end. */
static char *word(char **at)
{
    char *p = *at + strspn(*at, " \t"), *end;
    if (*p == '"' && (end = strchr(p + 1, '"'))) {
        p++;
    } else {
        end = p + strcspn(p, " \t");
    }
    *at = *end ? end + 1 : end;
    *end = 0;
    return p;
}

static char *rest(char *at)
{
    at += strspn(at, " \t");
    size_t n = strlen(at);
    while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    at[n] = 0;
    return at;
}

/* Each command: fails with a message in err, or has said all it has to. */
typedef enum status command_fn(struct monitor *m, char *args, struct error *err);

/* ---- the machine ----------------------------------------------------------------------------- */
static enum status cmd_pause(struct monitor *m, char *args, struct error *err)
{
    if (!m->can_pause)
        return fail(err, ST_UNSUP, "this run cannot be paused");
    if (!m->paused && !m->holding) /* else it stands, or is on its way there */
        vm_stop(m->vm);
    m->paused = true;
    return ST_OK;
}

static enum status cmd_cont(struct monitor *m, char *args, struct error *err)
{
    m->resumed |= m->paused;
    m->paused = false;
    return ST_OK;
}

static enum status cmd_reset(struct monitor *m, char *args, struct error *err)
{
    vm_reset_button(m->vm);
    return ST_OK;
}

static enum status cmd_powerdown(struct monitor *m, char *args, struct error *err)
{
    vm_power_button(m->vm);
    return ST_OK;
}

static enum status cmd_quit(struct monitor *m, char *args, struct error *err)
{
    m->quit = true;
    m->paused = false;
    vm_stop(m->vm);
    return ST_OK;
}

static enum status cmd_engine(struct monitor *m, char *args, struct error *err)
{
    const char *name = word(&args);
    if (*name)
        return vm_set_engine(m->vm, name, err);
    monitor_say(m, "%s\n", vm_engine(m->vm));
    return ST_OK;
}

/* ---- snapshots ------------------------------------------------------------------------------- */
static enum status cmd_savevm(struct monitor *m, char *args, struct error *err)
{
    const char *path = word(&args);
    if (!*path)
        return fail(err, ST_INVAL, "savevm wants a file");
    return save_with_picture(m->vm, path, rest(args), err);
}

static enum status cmd_loadvm(struct monitor *m, char *args, struct error *err)
{
    const char *path = word(&args);
    u32 flags = 0;
    if (!strcmp(path, "-f")) {
        flags = SNAPSHOT_ANY_DISKS;
        path = word(&args);
    }
    if (!*path)
        return fail(err, ST_INVAL, "loadvm wants a file");
    return vm_load(m->vm, path, flags, err);
}

static void say_line(void *ctx, const char *line)
{
    monitor_say(ctx, "%s\n", line);
}

/* ---- media ----------------------------------------------------------------------------------- */
static enum status info_block(struct monitor *m)
{
    struct vm_medium all[VM_MAX_MEDIA];
    int n = vm_media(m->vm, all);
    for (int k = 0; k < n; k++)
        monitor_say(m, "%s: %s%s%s%s\n", all[k].name, all[k].loaded ? all[k].file : "empty",
                    all[k].loaded && all[k].readonly ? ", read-only" : "",
                    all[k].locked ? ", locked" : "", all[k].open ? ", open" : "");
    return ST_OK;
}

static enum status find_drive(struct monitor *m, const char *name, struct vm_medium *out,
                              struct error *err)
{
    if (vm_media_find(m->vm, name, out))
        return ST_OK;
    return fail(err, ST_INVAL, "no drive '%.20s' whose medium can be changed ('info block')", name);
}

static enum status cmd_eject(struct monitor *m, char *args, struct error *err)
{
    struct vm_medium d;
    const char *name = word(&args);
    bool force = !strcmp(name, "-f");
    if (force)
        name = word(&args);
    enum status st = find_drive(m, name, &d, err);
    return st ? st : vm_media_change(m->vm, d.kind, d.unit, NULL, force, err);
}

static enum status cmd_change(struct monitor *m, char *args, struct error *err)
{
    struct vm_medium d;
    struct block *b;
    const char *name = word(&args);
    bool force = !strcmp(name, "-f"), cd;
    if (force)
        name = word(&args);
    enum status st = find_drive(m, name, &d, err);
    if (st != ST_OK)
        return st;
    const char *path = word(&args);
    if (!*path)
        return fail(err, ST_INVAL, "change wants a drive and an image");
    cd = d.kind == VM_MEDIUM_CD;
    st = block_open_raw(path, cd || !strcmp(word(&args), "ro"), false, &b, err);
    if (st != ST_OK)
        return st;
    st = vm_media_change(m->vm, d.kind, d.unit, b, force, err);
    if (st != ST_OK)
        block_close(b);
    return st;
}

/* ---- looking --------------------------------------------------------------------------------- */
static enum status info_status(struct monitor *m, struct error *err)
{
    struct vm_stats s;
    vm_stats(m->vm, &s);
    monitor_say(m, "%s\nengine %s\n", m->paused ? "paused" : "running", vm_engine(m->vm));
    monitor_say(m, "instructions %" PRIu64 "\ntime %" PRIu64 ".%06u s\n", s.insns,
                s.run_ns / 1000000000u, (unsigned)(s.run_ns / 1000 % 1000000));
    return ST_OK;
}

static enum status info_registers(struct monitor *m, struct error *err)
{
    char text[8192], *line = text;
    vm_dump_cpu(m->vm, text, sizeof(text));
    for (char *end; (end = strchr(line, '\n')); line = end + 1)
        monitor_say(m, "%.*s\n", (int)(end - line), line);
    return ST_OK;
}

static void say_count(void *ctx, const struct vm_count *c)
{
    if (c->tenths)
        monitor_say(ctx, "%s %" PRIu64 ".%u\n", c->name, c->n / 10, (unsigned)(c->n % 10));
    else
        monitor_say(ctx, "%s %" PRIu64 "\n", c->name, c->n);
}

static enum status cmd_info(struct monitor *m, char *args, struct error *err)
{
    const char *what = word(&args);
    if (!*what || !strcmp(what, "status"))
        return info_status(m, err);
    if (!strcmp(what, "registers"))
        return info_registers(m, err);
    if (!strcmp(what, "block"))
        return info_block(m);
    if (!strcmp(what, "engine")) {
        vm_engine_counts(m->vm, say_count, m);
        return ST_OK;
    }
    if (!strcmp(what, "snapshot"))
        return snapshot_describe(word(&args), say_line, m, err);
    return fail(err, ST_INVAL,
                "info knows status, registers, block, engine, snapshot FILE; not '%s'", what);
}

static enum status cmd_screendump(struct monitor *m, char *args, struct error *err)
{
    const char *path = word(&args);
    if (!*path)
        return fail(err, ST_INVAL, "screendump wants a file");
    return shot_take(m->vm, path, err);
}

static enum status cmd_speed(struct monitor *m, char *args, struct error *err)
{
    const char *text = word(&args);
    struct vm_speed s;
    if (*text) {
        enum status st = speed_parse(text, &s, err);
        if (st == ST_OK && !vm_set_speed(m->vm, s))
            st = fail(err, ST_UNSUP, "with -icount the speed is fixed");
        return st;
    }
    s = vm_speed(m->vm);
    if (s.insns_per_sec)
        monitor_say(m, "%" PRIu64 ".%02u million instructions a second\n",
                    s.insns_per_sec / 1000000, (unsigned)(s.insns_per_sec / 10000 % 100));
    else if (s.percent)
        monitor_say(m, "%u%%\n", s.percent);
    else
        monitor_say(m, "max\n");
    return ST_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */
static command_fn cmd_help;
static const struct {
    const char *name, *args, *help;
    command_fn *run;
} commands[] = {
    {"help", "", "this list", cmd_help},
    {"info", "[WHAT]", "status, registers, block, engine, snapshot FILE", cmd_info},
    {"pause", "", "the machine and its time stand still", cmd_pause},
    {"stop", NULL, NULL, cmd_pause},
    {"cont", "", "and go on", cmd_cont},
    {"c", NULL, NULL, cmd_cont},
    {"reset", "", "the reset button", cmd_reset},
    {"system_reset", NULL, NULL, cmd_reset},
    {"powerdown", "", "the power button", cmd_powerdown},
    {"system_powerdown", NULL, NULL, cmd_powerdown},
    {"savevm", "FILE [TITLE]", "the whole machine into a file", cmd_savevm},
    {"loadvm", "[-f] FILE", "and back; -f: though a disk was written to since", cmd_loadvm},
    {"eject", "[-f] DRIVE", "takes a floppy or a CD out; -f: though the guest locked it",
     cmd_eject},
    {"change", "[-f] DRIVE FILE [ro]", "puts another in", cmd_change},
    {"engine", "[NAME]", "which engine runs the guest, or another from here on", cmd_engine},
    {"speed", "[MIPS|N%|max]", "how fast the CPU may be, as -speed", cmd_speed},
    {"screendump", "FILE", "the screen as PNG or .ppm", cmd_screendump},
    {"quit", "", "ends the machine at once", cmd_quit},
    {"q", NULL, NULL, cmd_quit},
};

static enum status cmd_help(struct monitor *m, char *args, struct error *err)
{
    for (size_t k = 0; k < ARRAY_LEN(commands); k++) {
        char left[48];
        if (!commands[k].help)
            continue;
        snprintf(left, sizeof(left), "%s %s", commands[k].name, commands[k].args);
        monitor_say(m, "%-26s %s\n", left, commands[k].help);
    }
    return ST_OK;
}

void monitor_command(struct monitor *m, char *line)
{
    struct error err = {{0}};
    const char *name = word(&line);
    if (!*name)
        return;
    for (size_t k = 0; k < ARRAY_LEN(commands); k++) {
        if (strcmp(commands[k].name, name))
            continue;
        if (commands[k].run(m, line, &err) == ST_OK)
            monitor_say(m, "ok\n");
        else
            monitor_say(m, "error: %s\n", err.msg);
        return;
    }
    monitor_say(m, "error: no command '%.40s' ('help' lists them)\n", name);
}
