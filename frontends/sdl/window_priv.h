/*
 * frontends/sdl/window_priv.h - the window as its files see it.
 *
 * You are here: window.c has the thread and what run.c calls; events.c hands keys and pointer over;
 * commands.c obeys the Ctrl-Alt keys; picture.c shows the guest's screen. The one place that
 * includes SDL's headers. All of it happens on the window's thread; no other calls SDL. That
 * includes SDL_PushEvent(): on X11 it may send an event by a second connection to the server, and
 * one that overtakes the window's end is a BadWindow error, with which Xlib ends the process.
 *
 * Invariants: `front` is the window's own copy of what was drawn last; keys and buttons that the
 * guest believes to be down are in `held` and `buttons`, and none stays when the window loses the
 * keyboard.
 */
#ifndef FRONTENDS_SDL_WINDOW_PRIV_H
#define FRONTENDS_SDL_WINDOW_PRIV_H

#include <SDL2/SDL.h> /* first: it has a meaning of its own for our always_inline */

#include "frontends/display/feed.h"
#include "frontends/sdl/menu_priv.h"
#include "frontends/sdl/panel_priv.h"
#include "frontends/sdl/parts_priv.h"
#include "machine/media.h"

#include <pthread.h>

enum {
    POLL_MS = 4, /* between looks for input while there is some, that is within */
    INPUT_BUSY_MS = 2000,
    FRAME_MS = 16,       /* between pictures while something moves, */
    LAZY_MS = 50,        /* and when nothing has moved for */
    LAZY_AFTER_MS = 500, /* so long */
    NOTE_MS = 4000,      /* a note stays in the title, and a second quit means it, for so long */
    SHOT_WAIT_MS = 300,  /* a screenshot waits for a fresh picture, but no longer */
    TYPE_MS = 12,        /* from one event of a pasted key to the next */
    RECORD_MS = 50,      /* between pictures of a recording, at least */
    MAX_HELD = 0xe8,
    KEY_DELETE = 0x4c,
    KEY_CTRL = 0xe0,
    KEY_SHIFT = 0xe1,
    KEY_ALT = 0xe2,
    KEY_RIGHT_CTRL = 0xe4,
};

enum page {
    PAGE_MAIN,
    PAGE_MEDIA,
    PAGE_DRIVE,
    PAGE_FILES,
    PAGE_SAVE,
    PAGE_LOAD,
    PAGE_SPEED,
    PAGE_QUIT,
};

enum { SLOTS = 8 };

/* A saved machine. */
struct slot {
    bool used, good; /* there is a file; it can be loaded as far as its head says */
    char text[160], size[24];
    u32 *picture; /* NULL: none */
    int width, height;
};

/* What the VM's thread does for the window (jobs.c): lent while feed.job_out. */
struct job {
    bool busy, media_known;
    struct vm_medium media[VM_MAX_MEDIA];
    int n_media;
    char name[8]; /* of the drive; "": whichever fits */
    char file[256], said[400];
    bool floppy, force;
    struct block *block;   /* to insert; NULL: eject */
    char path[FILES_PATH]; /* of a saved machine, */
    u32 *picture;          /* and the screen then */
    int width, height, slot;
    enum status status;
    struct error err;
};

struct window {
    struct window_options o;
    pthread_t thread;
    sem_t opened;
    struct error err; /* why it is not open */
    enum status status;
    _Atomic bool end, started; /* started: there is a machine */
    struct feed feed;
    bool can_pause;
    sem_t look; /* a picture or a job is back, or the end has come */

    SDL_Window *win;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    int tex_w, tex_h;
    struct shape shape; /* of the picture in the window */
    u32 *front;
    size_t front_max;
    int width, height;      /* of front; 0: nothing was drawn yet */
    int wanted_w, wanted_h; /* the window's size, as we set it */
    bool sized, fullscreen; /* sized: the user did */
    bool software;          /* the renderer keeps what it has drawn */
    bool part;              /* of the picture the lines from part_from to part_to changed */
    int part_from, part_to;
    bool dirty, visible, fresh; /* fresh: the request under way is younger than the shot's key */
    u64 next_ms, moved_ms;      /* next request; when something moved last */

    bool held[MAX_HELD];
    u32 buttons;
    bool captured, absolute, swallow; /* swallow: the button that captured is still down */
    bool moved;
    int dx, dy, wheel; /* not yet told */
    u32 abs_x, abs_y;

    u64 input_ms; /* the last key or motion */

    bool menu_open, menu_dirty;
    enum page page;
    struct menu menu;
    struct canvas menu_canvas;
    SDL_Texture *menu_tex;
    struct shape menu_shape; /* where it is in the window */
    int drive;               /* of job.media */
    char folder[FILES_PATH]; /* of the chooser */
    bool all_files;
    struct job job;
    struct slot slot[SLOTS]; /* as the page was filled */

    bool live_open, live_dirty;
    struct panel panel;
    struct canvas live_canvas;
    SDL_Texture *live_tex;
    struct shape live_shape;

    struct gif *gif; /* NULL: not recording */
    char gif_path[512];
    u64 gif_ms;   /* when it takes the next picture */
    bool gif_new; /* front is another than the recording's last */

    bool shot_wanted;
    u64 shot_ms;
    char *paste; /* NULL: nothing is being typed */
    const char *paste_at;
    u64 paste_ms;
    u16 typed; /* the key that is down */
    bool typed_shift;
    int left_out;

    int quits;
    u64 quit_ms;
    char note[600], title[800];
    u64 note_ms, rate_ms, rate_insns, mips;
    bool pressed_pause;
    char engine[32];
};

static inline u64 now_ms(void)
{
    return SDL_GetTicks64();
}

/* ---- window.c ---- */
/* Says something in the title for a while. */
void note(struct window *w, const char *text);

void notef(struct window *w, const char *format, ...) __attribute__((__format__(printf, 2, 3)));

/* ---- events.c ---- */
void key(struct window *w, u16 usage, bool down);
void release_keys(struct window *w);
void tell_pointer(struct window *w);
void capture(struct window *w, bool on);
void paste_begin(struct window *w);
void paste_step(struct window *w);
void on_event(struct window *w, const SDL_Event *e);

/* ---- picture.c ---- */
void place(struct window *w);
void resize(struct window *w);
void make_texture(struct window *w);
void present(struct window *w);
void take_picture(struct window *w);
void request_picture(struct window *w);
void save_picture(struct window *w);

/* ---- overlay.c: what is drawn over the picture ---- */
void overlay_step(struct window *w);    /* draws anew what has changed */
void overlay_present(struct window *w); /* between the picture and the screen */
void overlay_lost(struct window *w);    /* the renderer has lost its textures */
void overlay_end(struct window *w);
void live_step(struct window *w); /* a picture came: with counters? */

/* ---- record.c ---- */
void do_record(struct window *w);
void record_step(struct window *w);
void record_end(struct window *w);

/* ---- control.c: the menu ---- */
void control_toggle(struct window *w);
void control_key(struct window *w, const SDL_Keysym *sym);
void control_point(struct window *w, int x, int y);
void control_click(struct window *w, int x, int y, bool left);
void control_wheel(struct window *w, int dy);
void control_drop(struct window *w, const char *path);
void control_step(struct window *w);
void control_end(struct window *w);

/* ---- jobs.c ---- */
u64 job_file_size(const char *path);
void job_media(struct window *w); /* looks which drives there are */
bool job_insert(struct window *w, const char *path, const char *drive, bool floppy,
                struct error *err);
void job_eject(struct window *w, const char *drive, bool force);
bool job_finished(struct window *w); /* once a job */
void job_end(struct window *w);
bool job_start(struct window *w, void (*run)(void *arg, struct vm *vm)); /* false: said why */

/* ---- slots.c ---- */
void slots_page(struct window *w, struct menu *m, int what, bool save);
void slots_do(struct window *w, int slot, bool save);
void slots_forget(struct window *w);

/* ---- commands.c ---- */
void do_pause(struct window *w);
void do_reset(struct window *w);
void do_power(struct window *w);
void do_screenshot(struct window *w);
void do_engine(struct window *w);
void do_live(struct window *w);
void do_fullscreen(struct window *w);
void do_scale(struct window *w);
void do_ctrl_alt_del(struct window *w);
/* A Ctrl-Alt key; false: it is none. */
bool command_key(struct window *w, const SDL_KeyboardEvent *e);
void do_quit(struct window *w);

#endif
