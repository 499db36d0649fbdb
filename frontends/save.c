/*
 * frontends/save.c - `trivisor snapshot`, and what else shows, saves and loads snapshots.
 */
#include "frontends/save.h"
#include "frontends/cli_priv.h"
#include "frontends/display/parts.h"
#include "frontends/display/shot.h"
#include "machine/snapshot.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum status save_with_picture(struct vm *vm, const char *path, const char *title, struct error *err)
{
    struct snapshot_note note = {.title = title};
    struct error none;
    u32 *pixels = NULL;
    int width = 0, height = 0;
    if (shot_pixels(vm, &pixels, &width, &height, &none) == ST_OK) {
        note.picture = pixels;
        note.width = (u32)width;
        note.height = (u32)height;
    }
    enum status st = vm_save(vm, path, &note, err);
    free(pixels);
    return st;
}

/* ---- -loadvm --------------------------------------------------------------------------------- */
static enum status split(char *text, const char **path, u32 *flags, struct error *err)
{
    char *key, *value;
    *path = NULL;
    *flags = 0;
    while (next_pair(&text, &key, &value)) {
        if (!*path && !value)
            *path = key;
        else if (!strcmp(key, "disks") && value && !strcmp(value, "any"))
            *flags = SNAPSHOT_ANY_DISKS;
        else
            return fail(err, ST_INVAL, "knows FILE[,disks=any], not '%s'", key);
    }
    return *path && **path ? ST_OK : fail(err, ST_INVAL, "wants a file");
}

enum status loadvm_check(const char *arg, struct error *err)
{
    const char *path;
    u32 flags;
    char *copy = strdup(arg);
    enum status st = copy ? split(copy, &path, &flags, err) : fail(err, ST_NOMEM, "out of memory");
    free(copy);
    return st;
}

enum status loadvm(struct vm *vm, const char *arg, struct error *err)
{
    const char *path;
    u32 flags;
    char *copy = strdup(arg);
    struct error why;
    enum status st =
        copy ? split(copy, &path, &flags, &why) : fail(&why, ST_NOMEM, "out of memory");
    if (st == ST_OK)
        st = vm_load(vm, path, flags, &why);
    free(copy);
    return st ? fail(err, st, "-loadvm: %.480s", why.msg) : ST_OK;
}

enum status loadvm_take(struct run_options *o, const char *arg, struct error *err)
{
    o->loadvm = arg;
    return loadvm_check(arg, err);
}

enum status monitor_take(struct run_options *o, const char *arg, struct error *err)
{
    o->monitor = arg;
    return *arg ? ST_OK : fail(err, ST_INVAL, "wants stdio, none, pty or unix:PATH");
}

/* ---- describing ------------------------------------------------------------------------------ */
enum status snapshot_describe(const char *path, void (*line)(void *ctx, const char *line),
                              void *ctx, struct error *err)
{
    struct snapshot_info i;
    char text[512], when[64] = "?";
    struct tm tm;
    enum status st = snapshot_info(path, &i, err);
    if (st != ST_OK)
        return st;
    time_t date = (time_t)i.date;
    if (localtime_r(&date, &tm))
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
#define LINE(...)                                                                                  \
    do {                                                                                           \
        snprintf(text, sizeof(text), __VA_ARGS__);                                                 \
        line(ctx, text);                                                                           \
    } while (0)
    LINE("title    %s", i.title[0] ? i.title : "-");
    LINE("date     %s", when);
    LINE("machine  %s, %llu KiB, CPU %s, personality %s", i.machine,
         (unsigned long long)(i.ram_size / KIB), i.cpu, i.pv);
    LINE("engine   %s", i.engine);
    LINE("ran      %llu instructions, %llu.%03u s", (unsigned long long)i.insns,
         (unsigned long long)(i.run_ns / 1000000000u), (unsigned)(i.run_ns / 1000000 % 1000));
    for (int k = 0; k < i.n_disks; k++) {
        const struct snapshot_disk *d = &i.disk[k];
        if (d->name[0])
            LINE("drive    %s: %s, %llu bytes%s", d->where, d->name, (unsigned long long)d->size,
                 d->inside ? ", its writes are in the file" : "");
        else
            LINE("drive    %s: empty", d->where);
    }
    if (i.width)
        LINE("picture  %u x %u", i.width, i.height);
    else
        LINE("picture  none");
    LINE("file     format %u, %llu bytes", i.version, (unsigned long long)i.file_size);
#undef LINE
    snapshot_info_free(&i);
    return ST_OK;
}

/* ---- trivisor snapshot ------------------------------------------------------------------------
 */
void snapshot_help(FILE *f)
{
    fprintf(f,
            "usage: trivisor snapshot info FILE...\n"
            "       trivisor snapshot verify FILE...\n"
            "       trivisor snapshot picture FILE OUT.png|OUT.ppm\n"
            "info: what files of savevm say of themselves. verify: reads all of them and checks\n"
            "their sums. picture: writes the picture that was taken with one.\n"
            "Exit status: 0, 2 for a mistake on the command line, 4 when a file is no good.\n");
}

static void print_line(void *ctx, const char *line)
{
    for (; *line; line++)
        putc((u8)*line < ' ' || *line == 0x7f ? '?' : *line, ctx);
    putc('\n', ctx);
}

static enum status write_picture(const char *path, const char *out, struct error *err)
{
    struct snapshot_info i;
    enum status st = snapshot_info(path, &i, err);
    if (st == ST_OK)
        st = i.width ? picture_write(out, i.picture, (int)i.width, (int)i.height, err)
                     : fail(err, ST_UNSUP, "%s has no picture", path);
    snapshot_info_free(&i);
    return st;
}

int cmd_snapshot(int argc, char **argv)
{
    static const char *const words[] = {"info", "verify", "picture", NULL};
    const char *what = argc ? argv[0] : "";
    struct error err;
    int status = 0;
    if (!strcmp(what, "--help") || !strcmp(what, "-help") || !strcmp(what, "-h")) {
        snapshot_help(stdout);
        return 0;
    }
    if (!strcmp(what, "picture") && argc == 3) {
        if (write_picture(argv[1], argv[2], &err) == ST_OK)
            return 0;
        log_error("%s", err.msg);
        return STATUS_HOST;
    }
    bool info = !strcmp(what, "info"), verify = !strcmp(what, "verify");
    if ((!info && !verify) || argc < 2) {
        const char *near = nearest(what, words);
        if (near && strcmp(near, what))
            log_error("snapshot: no '%s' (did you mean '%s'?)", what, near);
        else
            log_error("snapshot: info, verify or picture, and a file ('trivisor help snapshot')");
        return STATUS_USAGE;
    }
    for (int k = 1; k < argc; k++) {
        if (info && argc > 2)
            printf("%s%s:\n", k > 1 ? "\n" : "", argv[k]);
        enum status st = info ? snapshot_describe(argv[k], print_line, stdout, &err)
                              : snapshot_verify(argv[k], &err);
        if (st != ST_OK) {
            log_error("%s", err.msg);
            status = STATUS_HOST;
        } else if (verify) {
            printf("%s: good\n", argv[k]);
        }
    }
    return status;
}
