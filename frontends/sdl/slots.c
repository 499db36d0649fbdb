/*
 * frontends/sdl/slots.c - saved machines in numbered slots: files of a folder, a page of the menu
 * with their pictures.
 *
 * What it is not: the file's format and what is in it (machine/snapshot.h).
 */
#include "frontends/sdl/window_priv.h"
#include "machine/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- names ----------------------------------------------------------------------------------- */
static const char *machine_name(const struct window *w)
{
    return w->o.name && *w->o.name ? w->o.name : "machine";
}

/* The user's folder for data (XDG base directories), or the one that was asked for. */
static bool folder(const struct window *w, char out[FILES_PATH])
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (w->o.slots[0])
        n = snprintf(out, FILES_PATH, "%s", w->o.slots);
    else if (data && *data == '/')
        n = snprintf(out, FILES_PATH, "%s/trivisor", data);
    else if (home && *home == '/')
        n = snprintf(out, FILES_PATH, "%s/.local/share/trivisor", home);
    else
        return false;
    return n < FILES_PATH - 128;
}

static bool slot_path(const struct window *w, int slot, char out[FILES_PATH])
{
    char name[64];
    if (!folder(w, out))
        return false;
    snprintf(name, sizeof(name), "%s", machine_name(w));
    for (char *c = name; *c; c++)
        if (*c == '/' || (*c == '.' && c == name))
            *c = '_';
    size_t at = strlen(out);
    snprintf(out + at, FILES_PATH - at, "/%s-%d.trvsnap", name, slot + 1);
    return true;
}

static bool make_folder(const struct window *w, struct error *err)
{
    char path[FILES_PATH];
    if (!folder(w, path)) {
        fail(err, ST_INVAL,
             "no place for saved machines: HOME is not set (slots=FOLDER names one)");
        return false;
    }
    for (char *c = path + 1;; c++) {
        if (*c && *c != '/')
            continue;
        char was = *c;
        *c = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
            return false;
        }
        *c = was;
        if (!was)
            return true;
    }
}

/* ---- what is in them ------------------------------------------------------------------------- */
void slots_forget(struct window *w)
{
    for (int k = 0; k < SLOTS; k++) {
        free(w->slot[k].picture);
        w->slot[k].picture = NULL;
    }
}

static void read_slot(struct window *w, int k)
{
    struct slot *s = &w->slot[k];
    struct snapshot_info info;
    struct error err;
    struct stat st;
    char path[FILES_PATH], when[40];
    struct tm tm;
    memset(s, 0, sizeof(*s));
    snprintf(s->text, sizeof(s->text), "%d  empty", k + 1);
    if (!slot_path(w, k, path) || stat(path, &st) < 0)
        return;
    s->used = true;
    if (snapshot_info(path, &info, &err)) {
        snprintf(s->text, sizeof(s->text), "%d  cannot be used: %.100s", k + 1, err.msg);
        return;
    }
    time_t t = (time_t)info.date;
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
    snprintf(s->text, sizeof(s->text), "%d  %s  %.40s", k + 1, when, info.title);
    snprintf(s->size, sizeof(s->size), "%llu MB",
             (unsigned long long)((info.file_size + MIB - 1) / MIB));
    s->good = true;
    s->picture = info.picture;
    s->width = (int)info.width;
    s->height = (int)info.height;
    info.picture = NULL;
    snapshot_info_free(&info);
}

void slots_page(struct window *w, struct menu *m, int what, bool save)
{
    slots_forget(w);
    menu_clear(m, save ? "Save the machine in" : "Load a saved machine: what runs now is lost");
    for (int k = 0; k < SLOTS; k++) {
        read_slot(w, k);
        const struct slot *s = &w->slot[k];
        struct menu_line *l = menu_add(m, what, k, s->size[0] ? s->size : NULL, "%s", s->text);
        if (l)
            l->dim = !save && !s->good;
    }
    if (save)
        snprintf(m->foot, sizeof(m->foot), "one that is in use is replaced");
}

/* ---- saving and loading: VM's thread --------------------------------------------------------- */
static void save(void *arg, struct vm *vm)
{
    struct job *j = &((struct window *)arg)->job;
    struct snapshot_note n = {j->said, j->picture, (u32)j->width, (u32)j->height};
    if (!j->picture)
        n.width = n.height = 0;
    j->status = vm_save(vm, j->path, &n, &j->err);
    snprintf(j->said, sizeof(j->said), "saved in slot %d", j->slot + 1);
}

static void load(void *arg, struct vm *vm)
{
    struct job *j = &((struct window *)arg)->job;
    j->status = vm_load(vm, j->path, 0, &j->err);
    snprintf(j->said, sizeof(j->said), "loaded slot %d", j->slot + 1);
}

/* ---- the window's ---------------------------------------------------------------------------- */
void slots_do(struct window *w, int slot, bool saves)
{
    struct job *j = &w->job;
    struct error err;
    if (j->busy)
        return note(w, "busy: once more in a moment");
    if ((saves && !make_folder(w, &err)) || !slot_path(w, slot, j->path)) {
        note(w, err.msg);
        return;
    }
    j->slot = slot;
    free(j->picture);
    j->picture = NULL;
    if (saves && w->width) {
        size_t n = (size_t)w->width * (size_t)w->height;
        j->picture = malloc(n * sizeof(u32));
        if (j->picture)
            memcpy(j->picture, w->front, n * sizeof(u32));
        j->width = w->width;
        j->height = w->height;
    }
    snprintf(j->said, sizeof(j->said), "%.60s", machine_name(w));
    release_keys(w);
    if (!job_start(w, saves ? save : load))
        j->said[0] = 0;
    else
        note(w, saves ? "saving ..." : "loading ...");
}
