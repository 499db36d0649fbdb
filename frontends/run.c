/*
 * frontends/run.c - `trivisor run`: files and terminal around one machine, from start to end.
 */
#include "frontends/cli_priv.h"
#include "frontends/gdb/gdb.h"
#include "frontends/monitor/monitor.h"
#include "frontends/net/net.h"
#include "frontends/save.h"
#include "frontends/sdl/window.h"
#include "frontends/stream_priv.h"
#include "frontends/vsock.h"
#include "machine/ledger.h"
#include "machine/views.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct session {
    struct run_options o;
    struct stream *streams[MAX_STREAMS];
    int n_streams;
    struct io *io;
    struct vm *vm;
    struct gdb *gdb;
    struct monitor *monitor;
    struct vsock_host *vsock;
    FILE *stats_json;
    struct window *window;
    struct display *display; /* VNC or the terminal */
    struct audio *audio;
    struct shots *shots;
    struct error no_window; /* why there is none, where one would be the default */
    bool can_pause;
};

/* ---- signals: they find the machine here ---------------------------------------------------- */
static struct vm *_Atomic running;
static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
    struct vm *vm = running;
    if (signalled || !vm) {
        /* The second time, or nothing to stop yet: do not insist on an orderly end. */
        term_restore();
        _exit(STATUS_SIGNAL);
    }
    signalled = sig;
    vm_stop(vm);
}

/* Another engine: the way to ask whether a fault is the translator's. */
static void on_toggle(int sig)
{
    struct vm *vm = running;
    if (vm)
        vm_engine_toggle(vm);
}

static void catch_signals(void)
{
    struct sigaction toggle = {.sa_handler = on_toggle, .sa_flags = SA_RESTART};
    static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction old, sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    for (size_t k = 0; k < ARRAY_LEN(sigs); k++) {
        /* nohup and background shells ignore them on purpose */
        if (sigaction(sigs[k], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(sigs[k], &sa, NULL);
    }
    sigemptyset(&toggle.sa_mask);
    sigaction(SIGUSR1, &toggle, NULL);
    signal(SIGPIPE, SIG_IGN);
    shots_signal();
}

/* A shared folder's files may want many descriptors. */
static void raise_file_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        setrlimit(RLIMIT_NOFILE, &lim);
    }
}

/* ---- before the start ----------------------------------------------------------------------- */
/* What the machine reads while it is built: told apart here, so that every option complains
 * alike. The machine itself checks what is inside. */
static enum status check_file(const char *option, const char *path, struct error *err)
{
    struct stat st;
    if (!path || !*path)
        return ST_OK;
    if (stat(path, &st) < 0)
        return fail(err, status_from_errno(errno), "%s: %s: %s", option, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(err, ST_FORMAT, "%s: %s: is a directory", option, path);
    if (!S_ISREG(st.st_mode))
        return fail(err, ST_FORMAT, "%s: %s: not a regular file", option, path);
    if (!st.st_size)
        return fail(err, ST_FORMAT, "%s: %s: is empty", option, path);
    if (access(path, R_OK) < 0)
        return fail(err, ST_ACCESS, "%s: %s: %s", option, path, strerror(errno));
    return ST_OK;
}

static enum status check_files(const struct vm_config *c, struct error *err)
{
    /* a list of modules: its loader says which of them is not there */
    bool list = c->initrd_path && strpbrk(c->initrd_path, " ,");
    const struct {
        const char *option, *path;
    } files[] = {{"-kernel", c->kernel_path},
                 {"-initrd", list ? NULL : c->initrd_path},
                 {"-bios", c->bios_path},
                 {"-vgabios", c->vgabios_path},
                 {"-rom", c->flat_path}};
    enum status st = ST_OK;
    for (size_t k = 0; !st && k < ARRAY_LEN(files); k++)
        st = check_file(files[k].option, files[k].path, err);
    return st;
}

static enum status open_stream(struct session *s, const char *spec, const char *what, bool output,
                               struct chardev **out, struct error *err)
{
    struct stream *st;
    struct error why;
    enum status status = stream_open(spec, what, output, &st, &why);
    if (status)
        return fail(err, status, "%s: %.480s", what, why.msg);
    *out = (struct chardev *)st;
    if (st) {
        s->streams[s->n_streams++] = st;
        io_add(s->io, st);
    }
    return ST_OK;
}

static enum status open_streams(struct session *s, struct error *err)
{
    static const char *const names[VM_MAX_SERIAL] = {"serial0", "serial1", "serial2", "serial3"};
    struct run_options *o = &s->o;
    enum status st = ST_OK;
    int on_terminal = 0;

    bool none = o->display_none || s->window;
    o->cfg.headless = o->nographic || (!o->n_serial && !none);
    if (!o->n_serial) {
        /* A window shows the screen; without one the serial port is all there is to see. */
        bool taken = o->monitor && stream_is_stdio(o->monitor);
        o->serial[o->n_serial++] = taken || (none && !o->nographic) ? "null" : "stdio";
        if (!o->nographic && !none && !taken)
            fprintf(stderr,
                    "trivisor: no window (%s): serial port 0 is on the terminal, "
                    "as with -nographic (Ctrl-A h helps)\n",
                    s->no_window.msg);
    }
    for (int k = 0; k < o->n_serial; k++)
        on_terminal += stream_is_stdio(o->serial[k]);
    for (int k = 0; k < o->n_virtio_ports; k++)
        on_terminal += stream_is_stdio(o->virtio_port[k].dev);
    on_terminal += o->monitor && stream_is_stdio(o->monitor);
    if (on_terminal && o->term)
        return fail(err, ST_INVAL, "-display term has the terminal: no port can be on stdio");
    if (on_terminal > 1)
        return fail(err, ST_INVAL, "%s",
                    o->monitor && stream_is_stdio(o->monitor)
                        ? "-monitor: stdio is taken by a serial port"
                        : "-serial: only one port can be on stdio");
    for (int k = 0; !st && k < o->n_serial; k++)
        st = open_stream(s, o->serial[k], names[k], false, &o->cfg.serial[k], err);
    for (int k = 0; !st && k < o->n_virtio_ports; k++) {
        const struct virtio_port_spec *p = &o->virtio_port[k];
        struct vm_virtio_port *to = &o->cfg.virtio.port[k];
        st = open_stream(s, p->dev, p->name[0] ? p->name : "virtio-console", false, &to->chr, err);
        to->console = !p->name[0];
        to->name = p->name;
        o->cfg.virtio.n_ports = k + 1;
    }
    if (!st && o->debugcon)
        st = open_stream(s, o->debugcon, "debugcon", true, &o->cfg.debugcon, err);
    return st;
}

static void turn(void *ctx)
{
    monitor_greet(ctx);
}

/* On a stream of its own, or behind Ctrl-A c of the one that has the terminal. */
static enum status open_monitor(struct session *s, struct error *err)
{
    struct chardev *to = NULL;
    struct stream *st = NULL;
    const char *spec = s->o.monitor;
    if (spec) {
        enum status status = open_stream(s, spec, "monitor", false, &to, err);
        if (status || !to)
            return status;
        st = (struct stream *)to;
    }
    for (int k = 0; !spec && k < s->n_streams; k++)
        if (s->streams[k]->stdio && s->streams[k]->fd_in >= 0)
            to = &(st = s->streams[k])->monitor;
    if (!to)
        return ST_OK;
    bool tty = spec && st->stdio && isatty(STDIN_FILENO);
    s->monitor = monitor_new(to, tty, s->can_pause);
    st->monitor_turn = spec ? NULL : turn;
    return s->monitor ? ST_OK : fail(err, ST_NOMEM, "out of memory");
}

/* A window where one was asked for. Where nothing was said, one for a person in a graphical
 * session who runs a machine with a display; what fails then is no error. */
static enum status show(struct session *s, bool usual, struct error *err)
{
    struct run_options *o = &s->o;
    const char *machine = o->cfg.machine ? o->cfg.machine : "pc";
    struct error why;
    o->window_options.snapshot = o->snapshot;
    if (o->vnc || o->term) {
        enum status st =
            o->vnc ? vnc_open(&o->vnc_options, &s->display, &why) : term_open(&s->display, &why);
        return st ? fail(err, st, "-display: %.480s", why.msg) : ST_OK;
    }
    if (o->nographic || o->display_none)
        return ST_OK;
    if (o->window) {
        enum status st = window_open(&o->window_options, &s->window, &why);
        return st ? fail(err, st, "-display: %.480s", why.msg) : ST_OK;
    }
    if (!usual || strcmp(machine, "pc"))
        fail(&s->no_window, ST_UNSUP, "none without -display sdl here");
    else if (!window_likely())
        fail(&s->no_window, ST_UNSUP, "no X or Wayland session");
    else
        window_open(&o->window_options, &s->window, &s->no_window);
    return ST_OK;
}

/* Sound beside a window, unless something else was asked for; a host without is no error then. */
static enum status hear(struct session *s, struct error *err)
{
    struct audio_spec spec = s->o.audio;
    bool usual = spec.kind == AUDIO_USUAL;
    struct error why;
    if (usual)
        spec.kind = s->window && audio_likely() ? AUDIO_SDL : AUDIO_NONE;
    enum status st = audio_open(&spec, &s->audio, &why);
    if (st && usual)
        log_info("%s: no sound", why.msg);
    else if (st)
        return fail(err, st, "-audio: %.480s", why.msg);
    s->o.cfg.audio = audio_sink(s->audio);
    return ST_OK;
}

static enum status start(struct session *s, struct error *err)
{
    enum status st;
    s->io = io_new();
    if (!s->io)
        return fail(err, ST_NOMEM, "cannot make an eventfd: %s", strerror(errno));
    st = check_files(&s->o.cfg, err);
    if (!st)
        st = drives_open(&s->o, err);
    if (!st)
        st = show(s, s->can_pause, err);
    if (!st)
        st = hear(s, err);
    if (!st)
        st = open_streams(s, err);
    if (!st)
        st = open_monitor(s, err);
    if (!st && s->o.vsock) {
        struct error why;
        st = vsock_open(s->o.vsock, &s->vsock, &why);
        if (st)
            fail(err, st, "-vsock: %.480s", why.msg);
        s->o.cfg.virtio.vsock = s->vsock;
    }
    if (s->o.n_shares)
        raise_file_limit();
    for (int k = 0; !st && k < s->o.n_nics; k++)
        st = nic_open(s->o.nics[k], k, &s->o.cfg.nic[k], err);
    if (!st) {
        st = vm_new(&s->o.cfg, &s->vm, err);
        if (!st) { /* the images are the machine's now */
            memset(s->o.cfg.ide, 0, sizeof(s->o.cfg.ide));
            memset(s->o.cfg.floppy, 0, sizeof(s->o.cfg.floppy));
            memset(s->o.cfg.pv_disk, 0, sizeof(s->o.cfg.pv_disk));
            memset(s->o.cfg.virtio.disk, 0, sizeof(s->o.cfg.virtio.disk));
        }
    }
    if (!st && s->o.loadvm)
        st = loadvm(s->vm, s->o.loadvm, err);
    if (!st && s->monitor)
        monitor_start(s->monitor, s->vm, s->o.monitor != NULL);
    if (!st && s->o.dump_block)
        st = vm_watch_block(s->vm, s->o.dump_at, err);
    if (!st && s->o.gdb) {
        struct error why;
        st = gdb_open(s->o.gdb, s->vm, s->o.hold, &s->gdb, &why);
        if (st)
            fail(err, st, "-gdb: %.480s", why.msg);
    }
    if (!st)
        st = shots_start(s->o.shots, s->o.n_shots, s->vm, &s->shots, err);
    if (!st && s->window) {
        struct error why;
        st = window_start(s->window, s->vm, s->can_pause, &why);
        if (st)
            fail(err, st, "-display: %.480s", why.msg);
    }
    if (!st && s->display) {
        struct error why;
        st = display_start(s->display, s->vm, &why);
        if (st)
            fail(err, st, "-display: %.480s", why.msg);
    }
    if (!st) {
        running = s->vm;
        for (int k = 0; k < s->n_streams; k++)
            if (s->streams[k]->stdio && s->streams[k]->fd_in >= 0)
                term_raw();
        if (!io_start(s->io, s->vm))
            st = fail(err, ST_NOMEM, "cannot start a thread");
        if (s->vsock && !vsock_start(s->vsock, s->vm))
            st = fail(err, ST_NOMEM, "cannot start a thread");
        for (int k = 0; !st && k < s->o.n_nics; k++)
            if (!nic_start(s->o.nics[k], s->vm))
                st = fail(err, ST_NOMEM, "cannot start a thread");
    }
    return st;
}

static void finish(struct session *s)
{
    if (s->io)
        io_stop(s->io);
    vsock_stop(s->vsock);
    for (int k = 0; k < s->o.n_nics; k++)
        nic_stop(s->o.nics[k]);
    term_restore();
    running = NULL;
    window_close(s->window);
    display_close(s->display);
    gdb_close(s->gdb);
    monitor_free(s->monitor);
    shots_free(s->shots);
    vm_free(s->vm);
    audio_close(s->audio);
    vsock_close(s->vsock);
    drives_close(&s->o.cfg);
    for (int k = 0; k < s->n_streams; k++)
        stream_close(s->streams[k]);
    io_free(s->io);
    if (s->stats_json)
        fclose(s->stats_json);
    options_free(&s->o);
}

/* ---- the end -------------------------------------------------------------------------------- */
static void print_stats(const struct session *s)
{
    const struct vm *vm = s->vm;
    struct audio_counts sound = {0};
    struct vm_stats t;
    vm_stats(vm, &t);
    if (s->audio)
        audio_counts(s->audio, &sound);
    const struct {
        const char *name;
        u64 n;
    } rows[] = {{"instructions", t.insns},
                {"virtual time, us", t.run_ns / 1000},
                {"halted, us", t.halted_ns / 1000},
                {"device accesses", t.io_accesses},
                {"interrupts", t.interrupts},
                {"exceptions", t.exceptions},
                {"hypercalls", t.hypercalls},
                {"TLB misses", t.tlb_misses},
                {"blocks decoded", t.blocks_decoded},
                {"blocks invalidated", t.block_invalidations},
                {"sound frames", sound.frames},
                {"sound underruns", sound.underruns},
                {"sound dropped", sound.dropped}};
    for (size_t k = 0; k < ARRAY_LEN(rows); k++)
        fprintf(stderr, "%-18s %20" PRIu64 "\n", rows[k].name, rows[k].n);
    views_print_stats(vm, stderr);
}

/* The file is opened before the guest starts, so that a name that cannot be is not found out at the
 * end. */
static enum status open_stats_json(struct session *s, struct error *err)
{
    const char *path = s->o.stats_json;
    if (!path)
        return ST_OK;
    s->stats_json = fopen(path, "we");
    if (!s->stats_json)
        return fail(err, status_from_errno(errno), "-stats-json: %s: %s", path, strerror(errno));
    vm_ledger_start(s->vm);
    return ST_OK;
}

static void write_stats_json(struct session *s)
{
    if (!s->stats_json)
        return;
    bool ok = views_json_stats(s->vm, s->stats_json);
    ok = !fclose(s->stats_json) && ok;
    s->stats_json = NULL;
    if (!ok)
        log_error("-stats-json: %s: cannot write", s->o.stats_json);
}

/* Our own bug, or a guest's end that somebody wants to know about: what the CPU was doing. */
static void dump_cpu(void *ctx)
{
    char text[8192];
    vm_dump_cpu(ctx, text, sizeof(text));
    fprintf(stderr, "%s\n", text);
}

/* Both may have stopped it, and both must say that it runs on. */
static bool held(struct session *s)
{
    if (io_quit_typed(s->io) || signalled)
        return false;
    bool by_monitor = monitor_hold(s->monitor, &signalled);
    bool by_window = window_hold(s->window, &signalled);
    return (by_monitor || by_window) && !io_quit_typed(s->io) && !signalled;
}

/* Runs the machine to its end; a debugger may look in between, and the window pause it. */
static enum vm_stop run_all(struct session *s, struct error *err)
{
    enum vm_stop why;
    do {
        why = vm_run(s->vm, err);
    } while ((why == VM_STOP_DEBUG && s->gdb && gdb_serve(s->gdb)) ||
             (why == VM_STOP_REQUEST && held(s)));
    return why == VM_STOP_DEBUG ? VM_STOP_REQUEST : why; /* killed by it */
}

static int status_of(struct session *s, enum vm_stop why, const struct error *err)
{
    switch (why) {
    case VM_STOP_POWEROFF:
        return STATUS_POWEROFF;
    case VM_STOP_RESET:
        return STATUS_RESET;
    case VM_STOP_TRIPLE_FAULT:
        log_error("triple fault");
        if (log_level() >= LOG_GUEST)
            dump_cpu(s->vm);
        return STATUS_TRIPLE;
    case VM_STOP_REQUEST:
        return signalled ? STATUS_SIGNAL : STATUS_POWEROFF;
    case VM_STOP_EXIT:
        return vm_exit_code(s->vm) & 0xff;
    case VM_STOP_DEBUG:
    case VM_STOP_ERROR:
        log_error("%s", err->msg[0] ? err->msg : "the machine failed");
        break;
    }
    return STATUS_HOST;
}

int run_with(int argc, char **argv, const struct run_hook *hook)
{
    struct session *s = calloc(1, sizeof(*s));
    struct error err = {{0}};
    int status;

    if (!s) {
        log_error("out of memory");
        return STATUS_HOST;
    }
    if (options_parse(argc, argv, &s->o, &err) != ST_OK) {
        log_error("%s", err.msg);
        status = STATUS_USAGE;
    } else if (s->o.done) {
        status = STATUS_POWEROFF;
    } else {
        if (s->o.name)
            prctl(PR_SET_NAME, s->o.name);
        catch_signals();
        if (hook && hook->configure)
            hook->configure(hook->ctx, &s->o.cfg);
        s->can_pause = !hook || !hook->run;
        enum status st = start(s, &err);
        if (!st)
            st = open_stats_json(s, &err);
        if (!st && hook && hook->start)
            st = hook->start(hook->ctx, s->vm, &err);
        if (st) {
            log_error("%s", err.msg);
            status = st == ST_INVAL ? STATUS_USAGE : STATUS_HOST;
        } else {
            check_set_hook(dump_cpu, s->vm);
            enum vm_stop why =
                hook && hook->run ? hook->run(hook->ctx, s->vm, &err) : run_all(s, &err);
            check_set_hook(NULL, NULL);
            io_stop(s->io);
            display_close(s->display);
            s->display = NULL;
            term_restore();
            if (s->o.stats)
                print_stats(s);
            write_stats_json(s);
            if (s->o.dump_block)
                views_print_block(s->vm, s->o.dump_at, stdout);
            status = status_of(s, why, &err);
            if (!shots_end(s->shots) && status == STATUS_POWEROFF)
                status = STATUS_HOST;
            gdb_ended(s->gdb, status);
        }
    }
    if (hook && hook->end && s->vm)
        hook->end(hook->ctx, s->vm);
    finish(s);
    free(s);
    return status;
}

int cmd_run(int argc, char **argv)
{
    return run_with(argc, argv, NULL);
}
