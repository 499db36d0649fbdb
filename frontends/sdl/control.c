/*
 * frontends/sdl/control.c - the menu: its pages, what their lines do, and disk images that are
 * dropped onto the window.
 *
 * What it is: the window's thread. What needs the machine between two of its runs (media,
 * snapshots) is a job for the VM's thread (jobs.c), at most one at a time.
 */
#include "frontends/sdl/window_priv.h"
#include "machine/views.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum what {
    W_NOTHING,
    W_PAGE, /* arg: which */
    W_PAUSE,
    W_RESET,
    W_POWER_BUTTON,
    W_POWER_OFF,
    W_SCREENSHOT,
    W_RECORD,
    W_ENGINE,
    W_LIVE,
    W_FULLSCREEN,
    W_SCALE,
    W_PASTE,
    W_CTRL_ALT_DEL,
    W_CLOSE,
    W_DRIVE, /* arg: of job.media */
    W_EJECT,
    W_EJECT_FORCE,
    W_UP, /* the folder above */
    W_FOLDER,
    W_FILE,
    W_ALL_FILES,
    W_SPEED, /* arg: of speeds */
    W_SAVE,  /* arg: slot */
    W_LOAD,
};

static const struct {
    const char *name;
    struct vm_speed speed;
} speeds[] = {
    {"as fast as it goes", {0, 0}},
    {"half of the host's time", {0, 50}},
    {"a quarter of the host's time", {0, 25}},
    {"Pentium 133 (100 million instructions a second)", {100000000, 0}},
    {"486 DX2-66 (25 million)", {25000000, 0}},
    {"386 DX-33 (8 million)", {8000000, 0}},
    {"286-12 (2 million)", {2000000, 0}},
    {"8088 at 4.77 MHz (0.3 million)", {300000, 0}},
};

static void fill_page(struct window *w);

/* ---- opening and closing --------------------------------------------------------------------- */
static void go(struct window *w, enum page p)
{
    w->page = p;
    fill_page(w);
    w->menu_dirty = true;
}

static void close_menu(struct window *w)
{
    w->menu_open = false;
    w->dirty = true;
    SDL_ShowCursor(w->absolute ? SDL_DISABLE : SDL_ENABLE);
}

void control_toggle(struct window *w)
{
    if (w->menu_open) {
        close_menu(w);
        return;
    }
    release_keys(w);
    capture(w, false);
    SDL_ShowCursor(SDL_ENABLE);
    w->menu_open = true;
    go(w, PAGE_MAIN);
}

static void back(struct window *w)
{
    switch (w->page) {
    case PAGE_MAIN:
        close_menu(w);
        break;
    case PAGE_DRIVE:
        go(w, PAGE_MEDIA);
        break;
    case PAGE_FILES:
        go(w, PAGE_DRIVE);
        break;
    default:
        go(w, PAGE_MAIN);
        break;
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */
static void page_line(struct menu *m, enum page p, const char *right, const char *text)
{
    struct menu_line *l = menu_add(m, W_PAGE, (int)p, right, "%s", text);
    if (l)
        l->below = true;
}

static void dim_if(struct menu_line *l, bool dim)
{
    if (l)
        l->dim = dim;
}

static void main_page(struct window *w, struct menu *m)
{
    static const char *const scales[N_SCALES] = {"smooth", "sharp", "integer"};
    menu_clear(m, w->o.name && *w->o.name ? w->o.name : "Trivisor");
    dim_if(menu_add(m, W_PAUSE, 0, "Ctrl-Alt-P", w->pressed_pause ? "Go on" : "Pause"),
           !w->can_pause);
    menu_add(m, W_RESET, 0, "Ctrl-Alt-R", "Reset");
    menu_add(m, W_POWER_BUTTON, 0, "Ctrl-Alt-O", "Power button");
    page_line(m, PAGE_QUIT, "Ctrl-Alt-Q", "Power off");
    page_line(m, PAGE_MEDIA, NULL, "Floppies and CDs");
    page_line(m, PAGE_SAVE, NULL, "Save the machine");
    page_line(m, PAGE_LOAD, NULL, "Load a saved machine");
    menu_add(m, W_SCREENSHOT, 0, "Ctrl-Alt-S", "Screenshot");
    menu_add(m, W_RECORD, 0, "Ctrl-Alt-C", w->gif ? "Stop recording" : "Record the screen");
    page_line(m, PAGE_SPEED, NULL, "Speed");
    menu_add(m, W_ENGINE, 0, "Ctrl-Alt-E", "Engine: %s", w->engine[0] ? w->engine : "?");
    menu_add(m, W_LIVE, 0, "Ctrl-Alt-I", w->live_open ? "Close the live view" : "Live view");
    menu_add(m, W_FULLSCREEN, 0, "Ctrl-Alt-F", w->fullscreen ? "Leave full screen" : "Full screen");
    menu_add(m, W_SCALE, 0, "Ctrl-Alt-L", "Scale: %s", scales[w->o.scale]);
    menu_add(m, W_PASTE, 0, "Ctrl-Alt-V", "Type the clipboard");
    menu_add(m, W_CTRL_ALT_DEL, 0, "Ctrl-Alt-End", "Ctrl-Alt-Del to the guest");
    snprintf(m->foot, sizeof(m->foot), "arrows, Enter: choose   Esc: the guest goes on");
}

static const char *drive_text(const struct vm_medium *d, char out[64])
{
    snprintf(out, 64, "%s (%s)",
             d->kind == VM_MEDIUM_CD ? "CD drive"
             : d->unit               ? "floppy drive B"
                                     : "floppy drive A",
             d->name);
    return out;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void media_page(struct window *w, struct menu *m)
{
    char name[64];
    menu_clear(m, "Floppies and CDs");
    if (!w->job.media_known)
        dim_if(menu_add(m, W_NOTHING, 0, NULL, "..."), true);
    else if (!w->job.n_media)
        dim_if(menu_add(m, W_NOTHING, 0, NULL, "this machine has no drive with removable media"),
               true);
    for (int k = 0; w->job.media_known && k < w->job.n_media; k++) {
        const struct vm_medium *d = &w->job.media[k];
        struct menu_line *l = menu_add(m, W_DRIVE, k, NULL, "%s: %s", drive_text(d, name),
                                       d->open     ? "tray open"
                                       : d->loaded ? base_name(d->file)
                                                   : "empty");
        if (l)
            l->below = true;
    }
    snprintf(m->foot, sizeof(m->foot), "a disk image dropped onto the window goes into its drive");
}

static const struct vm_medium *drive(struct window *w)
{
    return &w->job.media[w->drive];
}

static void drive_page(struct window *w, struct menu *m)
{
    char name[64], title[MENU_TEXT];
    const struct vm_medium *d = drive(w);
    snprintf(title, sizeof(title), "%s: %.180s", drive_text(d, name),
             d->loaded ? d->file : "empty");
    menu_clear(m, title);
    page_line(m, PAGE_FILES, NULL, d->loaded ? "Change" : "Insert");
    dim_if(menu_add(m, W_EJECT, 0, NULL, "Eject"), !d->loaded);
    if (d->locked)
        dim_if(menu_add(m, W_EJECT_FORCE, 0, NULL, "Eject by force: the guest holds it locked"),
               !d->loaded);
}

static void files_page(struct window *w, struct menu *m)
{
    struct error err;
    bool floppy = drive(w)->kind == VM_MEDIUM_FLOPPY;
    if (!w->folder[0] && !getcwd(w->folder, sizeof(w->folder)))
        snprintf(w->folder, sizeof(w->folder), "/");
    menu_clear(m, w->folder);
    if (strlen(w->folder) > 1)
        menu_add(m, W_UP, 0, NULL, "../");
    if (files_list(m, w->folder, floppy, w->all_files, W_FOLDER, W_FILE, &err))
        snprintf(m->foot, sizeof(m->foot), "%.200s", err.msg);
    else if (!m->foot[0])
        snprintf(m->foot, sizeof(m->foot), "%s", floppy ? "at most 2880 KB" : "read-only");
    menu_add(m, W_ALL_FILES, 0, NULL, w->all_files ? "[only disk images]" : "[all files]");
}

static void speed_page(struct window *w, struct menu *m)
{
    struct vm_speed now = vm_speed(w->feed.vm);
    menu_clear(m, "Speed of the guest's CPU");
    for (int k = 0; k < (int)ARRAY_LEN(speeds); k++) {
        bool is = speeds[k].speed.insns_per_sec == now.insns_per_sec &&
                  speeds[k].speed.percent == now.percent;
        menu_add(m, W_SPEED, k, is ? "now" : NULL, "%s", speeds[k].name);
        if (is)
            menu_go(m, m->n - 1);
    }
}

static void quit_page(struct window *w, struct menu *m)
{
    menu_clear(m, "The guest still runs: what it has not saved is lost");
    menu_add(m, W_CLOSE, 0, "Esc", "Go on");
    menu_add(m, W_POWER_BUTTON, 0, "Ctrl-Alt-O", "Power button: the guest may shut itself down");
    page_line(m, PAGE_SAVE, NULL, "Save the machine first");
    menu_add(m, W_POWER_OFF, 0, NULL, "Power off");
}

static void fill_page(struct window *w)
{
    struct menu *m = &w->menu;
    switch (w->page) {
    case PAGE_MAIN:
        main_page(w, m);
        break;
    case PAGE_MEDIA:
        media_page(w, m);
        break;
    case PAGE_DRIVE:
        drive_page(w, m);
        break;
    case PAGE_FILES:
        files_page(w, m);
        break;
    case PAGE_SPEED:
        speed_page(w, m);
        break;
    case PAGE_QUIT:
        quit_page(w, m);
        break;
    case PAGE_SAVE:
    case PAGE_LOAD:
        slots_page(w, m, w->page == PAGE_SAVE ? W_SAVE : W_LOAD, w->page == PAGE_SAVE);
        break;
    }
    if (m->n && m->line[m->at].dim)
        menu_key(m, MENU_FIRST);
    w->menu_dirty = true;
}

/* ---- media ----------------------------------------------------------------------------------- */
static void insert(struct window *w, const char *path)
{
    struct error err;
    const struct vm_medium *d = drive(w);
    if (!job_insert(w, path, d->name, d->kind == VM_MEDIUM_FLOPPY, &err))
        note(w, err.msg);
    close_menu(w);
}

void control_drop(struct window *w, const char *path)
{
    struct error err;
    u64 size = job_file_size(path);
    bool floppy =
        size <= FILES_FLOPPY_MAX && !(file_is_image(path, false) && !file_is_image(path, true));
    if (!job_insert(w, path, "", floppy, &err))
        note(w, err.msg);
}

/* ---- what a line does ------------------------------------------------------------------------ */
static void choose(struct window *w)
{
    struct menu *m = &w->menu;
    char path[FILES_PATH];
    if (m->at >= m->n || m->line[m->at].dim)
        return;
    const struct menu_line *l = &m->line[m->at];
    switch ((enum what)l->what) {
    case W_NOTHING:
        return;
    case W_PAGE:
        if (l->arg == PAGE_MEDIA)
            job_media(w);
        go(w, (enum page)l->arg);
        return;
    case W_DRIVE:
        w->drive = l->arg;
        go(w, PAGE_DRIVE);
        return;
    case W_UP:
        if (file_join(w->folder, "..", path))
            snprintf(w->folder, sizeof(w->folder), "%s", path);
        go(w, PAGE_FILES);
        return;
    case W_FOLDER:
        if (file_join(w->folder, l->text, path))
            snprintf(w->folder, sizeof(w->folder), "%s", path);
        go(w, PAGE_FILES);
        return;
    case W_ALL_FILES:
        w->all_files = !w->all_files;
        go(w, PAGE_FILES);
        return;
    case W_FILE:
        if (file_join(w->folder, l->text, path))
            insert(w, path);
        return;
    default:
        break;
    }
    enum what what = (enum what)l->what;
    int arg = l->arg;
    close_menu(w);
    switch (what) {
    case W_PAUSE:
        do_pause(w);
        break;
    case W_RESET:
        do_reset(w);
        break;
    case W_POWER_BUTTON:
        do_power(w);
        break;
    case W_POWER_OFF:
        feed_quit(&w->feed);
        break;
    case W_SCREENSHOT:
        do_screenshot(w);
        break;
    case W_RECORD:
        do_record(w);
        break;
    case W_ENGINE:
        do_engine(w);
        break;
    case W_LIVE:
        do_live(w);
        break;
    case W_FULLSCREEN:
        do_fullscreen(w);
        break;
    case W_SCALE:
        do_scale(w);
        break;
    case W_PASTE:
        paste_begin(w);
        break;
    case W_CTRL_ALT_DEL:
        do_ctrl_alt_del(w);
        break;
    case W_EJECT:
    case W_EJECT_FORCE:
        job_eject(w, drive(w)->name, what == W_EJECT_FORCE);
        break;
    case W_SPEED:
        if (vm_set_speed(w->feed.vm, speeds[arg].speed))
            notef(w, "speed: %s", speeds[arg].name);
        else
            note(w, "the speed is fixed: this machine's time follows its instructions (-icount)");
        break;
    case W_SAVE:
    case W_LOAD:
        slots_do(w, arg, what == W_SAVE);
        break;
    default:
        break;
    }
}

/* ---- keys and pointer while it is open ------------------------------------------------------- */
void control_key(struct window *w, const SDL_Keysym *sym)
{
    struct menu *m = &w->menu;
    switch (sym->sym) {
    case SDLK_UP:
        menu_key(m, MENU_UP);
        break;
    case SDLK_DOWN:
        menu_key(m, MENU_DOWN);
        break;
    case SDLK_PAGEUP:
        menu_key(m, MENU_PAGE_UP);
        break;
    case SDLK_PAGEDOWN:
        menu_key(m, MENU_PAGE_DOWN);
        break;
    case SDLK_HOME:
        menu_key(m, MENU_FIRST);
        break;
    case SDLK_END:
        menu_key(m, MENU_LAST);
        break;
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
    case SDLK_RIGHT:
        choose(w);
        break;
    case SDLK_ESCAPE:
    case SDLK_LEFT:
    case SDLK_BACKSPACE:
        back(w);
        break;
    default:
        if (sym->sym > ' ' && sym->sym < 0x7f && !(sym->mod & (KMOD_CTRL | KMOD_ALT)))
            menu_type(m, (char)sym->sym);
        break;
    }
    w->menu_dirty = true;
}

static int line_at(const struct window *w, int x, int y)
{
    const struct shape *s = &w->menu_shape;
    if (s->w < 1 || s->h < 1)
        return -1;
    return menu_hit(&w->menu, (int)((i64)(x - s->x) * w->menu_canvas.w / s->w),
                    (int)((i64)(y - s->y) * w->menu_canvas.h / s->h));
}

void control_point(struct window *w, int x, int y)
{
    int line = line_at(w, x, y);
    if (line < 0 || line == w->menu.at)
        return;
    menu_go(&w->menu, line);
    w->menu_dirty = true;
}

void control_click(struct window *w, int x, int y, bool left)
{
    int line = line_at(w, x, y);
    if (!left) {
        back(w);
    } else if (line >= 0) {
        menu_go(&w->menu, line);
        choose(w);
    }
}

void control_wheel(struct window *w, int dy)
{
    for (int k = 0; k < 3; k++)
        menu_key(&w->menu, dy > 0 ? MENU_UP : MENU_DOWN);
    w->menu_dirty = true;
}

void control_step(struct window *w)
{
    if (!job_finished(w))
        return;
    if (w->menu_open && (w->page == PAGE_MEDIA || w->page == PAGE_SAVE || w->page == PAGE_LOAD))
        fill_page(w);
}

void control_end(struct window *w)
{
    job_end(w);
    slots_forget(w);
    menu_free(&w->menu);
}
