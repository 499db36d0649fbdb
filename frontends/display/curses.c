/*
 * frontends/display/curses.c - the machine's text screen and keyboard on a terminal.
 *
 * What it is: the one file that knows ncurses (ncursesw). Its thread draws and reads keys; the
 * terminal's mode and what restores it on every way out are term.c's. What it is not: mouse,
 * pictures: in a graphics mode one line says so.
 *
 * A terminal sends characters, not keys: each becomes the keys of a US keyboard, pressed and let go
 * of at once, one every TYPE_MS so that the keyboard's buffer of 16 bytes is never full.
 */
#include "frontends/cli_priv.h"
#include "frontends/display/display.h"
#include "frontends/display/feed.h"
#include "frontends/display/parts.h"
#include "machine/views.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <term.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

enum {
    FRAME_MS = 40,
    TYPE_MS = 20,
    NOTE_MS = 5000,
    ESC_MS = 25, /* an escape that nothing follows for so long is the key */
    QUEUE = 8192,
    CTRL_A = 1,
    KEY_SHIFT = 0xe1,
    KEY_CTRL = 0xe0,
    KEY_ALT = 0xe2,
};
enum { MOD_SHIFT = 1, MOD_CTRL = 2, MOD_ALT = 4 };

struct stroke {
    u16 usage;
    u8 mods;
};

struct tty {
    struct display d;
    SCREEN *screen;
    int wake_fd;
    pthread_t thread;
    bool started, utf8, pairs, bright;
    _Atomic bool quit;
    struct feed feed;

    struct stroke queue[QUEUE];
    u32 n_queued, first;
    u64 type_ms;
    bool command, function, help; /* after Ctrl-A; after Ctrl-A f; its list is shown */
    char note[128];
    u64 note_ms;
    int resumed; /* term_resumed() when it was drawn anew */
};

static u64 now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* ---- keys ------------------------------------------------------------------------------------ */
static void type(struct tty *t, u16 usage, u32 mods)
{
    if (usage && t->n_queued < QUEUE)
        t->queue[(t->first + t->n_queued++) % QUEUE] = (struct stroke){usage, (u8)mods};
}

static void send_stroke(struct tty *t)
{
    static const u16 keys[3] = {KEY_SHIFT, KEY_CTRL, KEY_ALT};
    struct stroke s = t->queue[t->first];
    t->first = (t->first + 1) % QUEUE;
    t->n_queued--;
    for (int k = 0; k < 3; k++)
        if (s.mods >> k & 1)
            feed_key(&t->feed, keys[k], true);
    feed_key(&t->feed, s.usage, true);
    feed_key(&t->feed, s.usage, false);
    for (int k = 2; k >= 0; k--)
        if (s.mods >> k & 1)
            feed_key(&t->feed, keys[k], false);
}

static void type_char(struct tty *t, u32 ch, u32 mods)
{
    bool shift = false;
    u16 usage;
    if (ch == 0x7f || ch == 8)
        usage = 0x2a;
    else if (ch == 27)
        usage = 0x29;
    else if (ch == '\r' || ch == '\n' || ch == '\t')
        usage = typing_key(ch, &shift);
    else if (ch == 0)
        usage = typing_key(' ', &shift), mods |= MOD_CTRL;
    else if (ch < 0x20) /* Ctrl-A..Z, and [ \ ] ^ _ */
        usage = typing_key(ch <= 26 ? ch + 'a' - 1 : ch + '@', &shift), mods |= MOD_CTRL;
    else
        usage = typing_key(ch, &shift);
    type(t, usage, mods | (shift ? MOD_SHIFT : 0));
}

/* What ncurses has a name but no number for: keys with modifiers, "kUP5" (2 shift, 3 alt, 5 ctrl
 * and their sums), as xterm's terminfo calls them. */
static void type_named(struct tty *t, int code)
{
    static const struct {
        const char *name;
        u16 usage;
    } names[] = {{"kUP", 0x52},  {"kDN", 0x51},  {"kRIT", 0x4f}, {"kLFT", 0x50}, {"kHOM", 0x4a},
                 {"kEND", 0x4d}, {"kPRV", 0x4b}, {"kNXT", 0x4e}, {"kIC", 0x49},  {"kDC", 0x4c}};
    const char *name = keyname(code);
    for (size_t k = 0; name && k < ARRAY_LEN(names); k++) {
        size_t n = strlen(names[k].name);
        int m = strncmp(name, names[k].name, n) ? 0 : name[n] ? name[n] - '1' : MOD_SHIFT;
        if (m > 0 && m < 8 && (!name[n] || !name[n + 1]))
            type(t, names[k].usage,
                 (u32)(m & 1 ? MOD_SHIFT : 0) | (m & 2 ? MOD_ALT : 0) | (m & 4 ? MOD_CTRL : 0));
    }
}

static void type_code(struct tty *t, int code, u32 mods)
{
    static const struct {
        int code;
        u16 usage;
        u8 mods;
    } keys[] = {{KEY_UP, 0x52, 0},
                {KEY_DOWN, 0x51, 0},
                {KEY_LEFT, 0x50, 0},
                {KEY_RIGHT, 0x4f, 0},
                {KEY_HOME, 0x4a, 0},
                {KEY_END, 0x4d, 0},
                {KEY_PPAGE, 0x4b, 0},
                {KEY_NPAGE, 0x4e, 0},
                {KEY_IC, 0x49, 0},
                {KEY_DC, 0x4c, 0},
                {KEY_BACKSPACE, 0x2a, 0},
                {KEY_ENTER, 0x28, 0},
                {KEY_B2, 0x5d, 0},
                {KEY_A1, 0x4a, 0},
                {KEY_A3, 0x4b, 0},
                {KEY_C1, 0x4d, 0},
                {KEY_C3, 0x4e, 0},
                {KEY_BTAB, 0x2b, MOD_SHIFT},
                {KEY_SF, 0x51, MOD_SHIFT},
                {KEY_SR, 0x52, MOD_SHIFT},
                {KEY_SLEFT, 0x50, MOD_SHIFT},
                {KEY_SRIGHT, 0x4f, MOD_SHIFT},
                {KEY_SHOME, 0x4a, MOD_SHIFT},
                {KEY_SEND, 0x4d, MOD_SHIFT},
                {KEY_SPREVIOUS, 0x4b, MOD_SHIFT},
                {KEY_SNEXT, 0x4e, MOD_SHIFT},
                {KEY_SDC, 0x4c, MOD_SHIFT},
                {KEY_SIC, 0x49, MOD_SHIFT}};
    static const u8 groups[6] = {0,       MOD_SHIFT,          MOD_CTRL, MOD_CTRL | MOD_SHIFT,
                                 MOD_ALT, MOD_ALT | MOD_SHIFT};
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        if (keys[k].code == code) {
            type(t, keys[k].usage, mods | keys[k].mods);
            return;
        }
    }
    int f = code - KEY_F0 - 1; /* F13 is Shift-F1, F25 Ctrl-F1, ... */
    if (f >= 0 && f < 12 * (int)ARRAY_LEN(groups))
        type(t, (u16)(0x3a + f % 12), mods | groups[f / 12]);
    else
        type_named(t, code);
}

static void note(struct tty *t, const char *text)
{
    snprintf(t->note, sizeof(t->note), "%s", text);
    t->note_ms = now_ms() + NOTE_MS;
}

/* The keys of the serial port on stdio (frontends/io.c), and some that terminals cannot send. */
static void command(struct tty *t, int code, u32 ch)
{
    if (t->function) {
        t->function = false;
        if (ch >= '0' && ch <= '9')
            type(t, (u16)(ch == '0' ? 0x43 : 0x3a + ch - '1'), 0);
        return;
    }
    switch (code == OK ? ch : 0) {
    case 'x':
        vm_stop(t->feed.vm);
        break;
    case 'a':
    case CTRL_A:
        type_char(t, CTRL_A, 0);
        break;
    case 'd':
        type(t, 0x4c, MOD_CTRL | MOD_ALT);
        break;
    case 'e':
        type_char(t, 27, 0);
        break;
    case 'f':
        t->command = t->function = true;
        break;
    case 's': /* Alt-SysRq */
        type(t, 0x46, MOD_ALT);
        break;
    case 'p':
        type(t, 0x48, 0);
        break;
    case 'r':
        vm_reset_button(t->feed.vm);
        note(t, "reset");
        break;
    case 'o':
        vm_power_button(t->feed.vm);
        note(t, "power button");
        break;
    case 'l':
        clearok(curscr, TRUE);
        break;
    case 'h':
    case '?':
        t->help = true;
        break;
    default: /* a slip: nothing */
        break;
    }
}

static void typed(struct tty *t, int code, u32 ch, u32 mods)
{
    if (t->help) { /* any key takes the list away */
        t->help = false;
    } else if (t->command) {
        t->command = false;
        command(t, code, ch);
    } else if (code == KEY_CODE_YES && ch == KEY_RESIZE) {
        clearok(curscr, TRUE);
    } else if (code == KEY_CODE_YES) {
        type_code(t, (int)ch, mods);
    } else if (ch == CTRL_A && !mods) {
        t->command = true;
    } else {
        type_char(t, ch, mods);
    }
}

/* An escape with something behind it at once is Alt. */
static void read_keys(struct tty *t)
{
    wint_t ch;
    int code;
    for (int n = 0; n < 256 && (code = wget_wch(stdscr, &ch)) != ERR; n++) {
        if (code == OK && ch == 27 && !t->command) {
            struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
            wint_t next;
            int c = wget_wch(stdscr, &next);
            if (c == ERR && poll(&p, 1, ESC_MS) > 0)
                c = wget_wch(stdscr, &next);
            if (c == ERR)
                typed(t, OK, 27, 0);
            else
                typed(t, c, next, MOD_ALT);
        } else {
            typed(t, code, ch, 0);
        }
    }
}

/* ---- the picture ----------------------------------------------------------------------------- */
/* A VGA counts blue, green, red from the lowest bit; terminals red, green, blue. */
static int colour(int c)
{
    return (c & 10) | (c & 1) << 2 | (c >> 2 & 1);
}

static void put_cell(struct tty *t, u16 cell)
{
    int fg = cell >> 8 & 15, bg = cell >> 12 & 7;
    u8 c = (u8)cell;
    wchar_t text[2] = {(wchar_t)(t->utf8 ? cp437_unicode(c) : (u32)cp437_ascii(c)), 0};
    attr_t attr = cell & 0x8000 ? A_BLINK : 0;
    short pair = 0;
    cchar_t out;
    if (!t->bright && fg & 8)
        attr |= A_BOLD;
    if (t->pairs)
        pair = (short)((t->bright ? fg : fg & 7) * 8 + bg + 1);
    else if (fg == 0 && bg)
        attr |= A_REVERSE;
    setcchar(&out, text, attr, pair, NULL);
    add_wch(&out);
}

static void draw_text(struct tty *t)
{
    struct feed *f = &t->feed;
    bool cursor =
        f->cursor_x >= 0 && f->cursor_x < f->cols && f->cursor_y >= 0 && f->cursor_y < f->rows;
    int rows = MIN(f->rows, LINES), cols = MIN(f->cols, COLS);
    /* A terminal that is too small shows the part with the cursor. */
    int top = cursor && f->cursor_y >= rows ? f->cursor_y - rows + 1 : 0;
    int left = cursor && f->cursor_x >= cols ? f->cursor_x - cols + 1 : 0;
    erase();
    for (int y = 0; y < rows; y++) {
        move(y, 0);
        for (int x = 0; x < cols; x++)
            put_cell(t, f->cells[(y + top) * f->cols + x + left]);
    }
    curs_set(cursor);
    if (cursor)
        move(f->cursor_y - top, f->cursor_x - left);
}

static void say_at(int y, const char *text)
{
    if (y >= 0 && y < LINES)
        mvaddnstr(y, 0, text, COLS);
}

static void draw(struct tty *t)
{
    static const char *const help[] = {
        " Ctrl-A x       end the machine at once                     ",
        " Ctrl-A a       send Ctrl-A itself                          ",
        " Ctrl-A d       send Ctrl-Alt-Del                           ",
        " Ctrl-A e       send Escape                                 ",
        " Ctrl-A f 1..0  send F1 to F10                              ",
        " Ctrl-A p, s    send Pause, Alt-SysRq                       ",
        " Ctrl-A r, o    reset button, power button                  ",
        " Ctrl-A l       draw the screen anew                        ",
        " Ctrl-A h       this list; any key takes it away            "};
    struct feed *f = &t->feed;
    if (f->text) {
        draw_text(t);
    } else {
        char line[128];
        erase();
        curs_set(0);
        snprintf(line, sizeof(line), "graphics mode %dx%d: a terminal shows text (Ctrl-A h helps)",
                 f->width, f->height);
        say_at(0, line);
    }
    int x, y;
    getyx(stdscr, y, x);
    attrset(A_REVERSE);
    for (size_t k = 0; t->help && k < ARRAY_LEN(help); k++)
        say_at((int)k, help[k]);
    if (t->note[0] && now_ms() < t->note_ms)
        say_at(LINES - 1, t->note);
    attrset(0);
    move(y, x);
    refresh();
}

/* ---- the thread ------------------------------------------------------------------------------ */
static void on_ready(void *ctx)
{
    struct tty *t = ctx;
    u64 one = 1;
    if (write(t->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

static void *work(void *arg)
{
    struct tty *t = arg;
    u64 next = 0;
    while (!atomic_load(&t->quit)) {
        struct pollfd p[2] = {{.fd = t->wake_fd, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
        u64 now = now_ms(), count;
        if (t->resumed != term_resumed()) { /* whoever had the terminal meanwhile drew on it */
            t->resumed = term_resumed();
            clearok(curscr, TRUE);
        }
        if (!atomic_load(&t->feed.out)) {
            if (t->feed.arrived && !term_away())
                draw(t);
            t->feed.arrived = false;
            if (now >= next) {
                feed_request(&t->feed);
                next = now + FRAME_MS;
            }
        }
        if (t->n_queued && now >= t->type_ms) {
            send_stroke(t);
            t->type_ms = now + TYPE_MS;
        }
        u64 until = MAX(next, now + 1);
        if (t->n_queued)
            until = MIN(until, MAX(t->type_ms, now + 1));
        poll(p, 2, (int)MIN(until - now, FRAME_MS));
        if (p[0].revents && read(t->wake_fd, &count, sizeof(count)) < 0) {
            /* nothing to clear */
        }
        if (p[1].revents & (POLLHUP | POLLERR | POLLNVAL)) { /* the terminal is gone */
            vm_stop(t->feed.vm);
            break;
        }
        if (!term_away())
            read_keys(t);
    }
    return NULL;
}

/* ---- from start to end ----------------------------------------------------------------------- */
static void make_colours(struct tty *t)
{
    if (!has_colors())
        return;
    start_color();
    t->bright = COLORS >= 16 && COLOR_PAIRS > 16 * 8;
    t->pairs = COLOR_PAIRS > 8 * 8;
    for (int fg = 0; t->pairs && fg < (t->bright ? 16 : 8); fg++)
        for (int bg = 0; bg < 8; bg++)
            init_pair((short)(fg * 8 + bg + 1), (short)colour(fg), (short)colour(bg));
}

static enum status tty_start(struct display *d, struct vm *vm, struct error *err)
{
    struct tty *t = (struct tty *)d;
    sigset_t all, before;
    char back[128];
    t->feed.vm = vm;
    term_raw();
    t->screen = newterm(NULL, stdout, stdin);
    if (!t->screen)
        return fail(err, ST_NOMEM, "ncurses cannot use the terminal");
    set_term(t->screen);
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESC_MS);
    make_colours(t);
    /* What takes the terminal back in a signal handler, where ncurses cannot be called. */
    snprintf(back, sizeof(back), "%s%s%s%s", orig_pair ? orig_pair : "",
             exit_attribute_mode ? exit_attribute_mode : "", cursor_normal ? cursor_normal : "",
             keypad_local ? keypad_local : "");
    term_screen(enter_ca_mode, exit_ca_mode, back);
    refresh();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    t->started = pthread_create(&t->thread, NULL, work, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t->started ? ST_OK : fail(err, ST_NOMEM, "cannot start a thread");
}

static void tty_close(struct display *d)
{
    struct tty *t = (struct tty *)d;
    if (t->started) {
        atomic_store(&t->quit, true);
        on_ready(t);
        pthread_join(t->thread, NULL);
    }
    if (t->screen) {
        curs_set(1);
        endwin();
        delscreen(t->screen);
    }
    term_screen(NULL, NULL, NULL);
    term_restore();
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    free(t->feed.cells);
    feed_free(&t->feed);
    free(t);
}

static enum status check_terminal(struct error *err)
{
    const char *name = getenv("TERM");
    int e;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return fail(err, ST_INVAL, "term wants a terminal as standard input and output");
    if (setupterm(NULL, STDOUT_FILENO, &e) != OK)
        return fail(err, ST_INVAL, "term: the terminal '%s' is not known here (TERM)",
                    name ? name : "");
    bool places = cursor_address;
    del_curterm(cur_term); /* newterm() makes its own */
    return places ? ST_OK
                  : fail(err, ST_INVAL, "term: a terminal '%s' cannot place its cursor",
                         name ? name : "");
}

enum status term_open(struct display **out, struct error *err)
{
    static const struct display_ops ops = {tty_start, tty_close};
    enum status st = check_terminal(err);
    if (st != ST_OK)
        return st;
    struct tty *t = calloc(1, sizeof(*t));
    if (!t)
        return fail(err, ST_NOMEM, "out of memory");
    t->d.ops = &ops;
    setlocale(LC_CTYPE, "");
    t->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->resumed = term_resumed();
    bool ready = feed_init(&t->feed, on_ready, t);
    t->feed.cells = malloc(FEED_MAX_CELLS * sizeof(*t->feed.cells));
    if (!ready || t->wake_fd < 0 || !t->feed.cells) {
        tty_close(&t->d);
        return fail(err, ST_NOMEM, "out of memory");
    }
    *out = &t->d;
    return ST_OK;
}
