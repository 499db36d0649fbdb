/*
 * frontends/options.c - every option of `trivisor run`, said once: the table parses and helps.
 *
 * Names are QEMU's where QEMU has the thing. -name and --name are the same; --name=value too.
 */
#include "frontends/cli_priv.h"
#include "frontends/gdb/gdb.h"
#include "frontends/net/net.h"
#include "machine/views.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum topic { MACHINE, BOOT, DRIVES, NETWORK, VIRTIO, CONSOLE, SOUND, TIME, RUN, N_TOPICS };

struct option {
    const char *name;
    const char *arg; /* NULL: none; "[X]", brackets and all: may be left out */
    enum topic topic;
    enum status (*take)(struct run_options *o, const char *arg, struct error *err);
    const char *help; /* NULL: another spelling of the entry before */
};

/* ---- helpers -------------------------------------------------------------------------------- */
static enum status unknown_word(struct error *err, const char *what, const char *word,
                                const char *const *list)
{
    const char *near = nearest(word, list);
    if (near)
        return fail(err, ST_INVAL, "no %s '%s' (did you mean '%s'?)", what, word, near);
    return fail(err, ST_INVAL, "no %s '%s' ('help' lists them)", what, word);
}

enum status one_of(struct run_options *o, const char *arg, const char *what,
                   const char *const *list, struct error *err)
{
    char word[64];
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        char heading[80];
        snprintf(heading, sizeof(heading), "Available %ss:", what);
        print_list(heading, list);
        o->done = true;
        return ST_OK;
    }
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg, ","), arg);
    for (const char *const *p = list; *p; p++)
        if (!strcmp(*p, word))
            return ST_OK;
    return unknown_word(err, what, word, list);
}

/* ---- machine -------------------------------------------------------------------------------- */
static enum status take_memory(struct run_options *o, const char *arg, struct error *err)
{
    u64 size;
    if (!strncmp(arg, "size=", 5))
        arg += 5;
    if (!parse_size(arg, MIB, &size))
        return fail(err, ST_INVAL, "'%s' is no size (512, 64M and 2G are)", arg);
    if (size < MIB || size > 64 * GIB)
        return fail(err, ST_RANGE, "%s: a machine has 1M to 64G of memory", arg);
    if (size & ~PAGE_MASK)
        return fail(err, ST_INVAL, "%s: no multiple of 4K", arg);
    o->cfg.ram_size = size;
    return ST_OK;
}

static enum status take_cpu(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.cpu = arg;
    return one_of(o, arg, "CPU model", vm_cpu_models(), err);
}

static enum status take_machine(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.machine = arg;
    if (strchr(arg, ','))
        return fail(err, ST_INVAL, "'%s': machines have no properties yet", arg);
    return one_of(o, arg, "machine", vm_machines(), err);
}

static enum status take_engine(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.engine = arg;
    struct error why;
    if (strcmp(arg, "help") && (strchr(arg, ',') || vm_engine_check(arg, &why) == ST_UNSUP))
        return vm_engine_check(arg, err);
    return one_of(o, arg, "engine", vm_engines(), err);
}

static enum status take_pv(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.pv = arg;
    return one_of(o, arg, "personality", vm_personalities(), err);
}

static enum status take_smp(struct run_options *o, const char *arg, struct error *err)
{
    u64 n;
    if (!strncmp(arg, "cpus=", 5))
        arg += 5;
    if (!parse_number(arg, 255, &n) || n == 0)
        return fail(err, ST_INVAL, "'%s' is no number of CPUs", arg);
    return n == 1 ? ST_OK : fail(err, ST_UNSUP, "%s: machines have one CPU so far", arg);
}

static enum status take_name(struct run_options *o, const char *arg, struct error *err)
{
    o->name = o->window_options.name = arg;
    return ST_OK;
}

/* ---- boot ----------------------------------------------------------------------------------- */
static enum status take_path(const char **to, const char *arg, struct error *err)
{
    *to = arg;
    return *arg ? ST_OK : fail(err, ST_INVAL, "wants a path");
}

static enum status take_kernel(struct run_options *o, const char *arg, struct error *err)
{
    return take_path(&o->cfg.kernel_path, arg, err);
}

static enum status take_initrd(struct run_options *o, const char *arg, struct error *err)
{
    return take_path(&o->cfg.initrd_path, arg, err);
}

static enum status take_append(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.append = arg;
    return ST_OK;
}

static enum status take_bios(struct run_options *o, const char *arg, struct error *err)
{
    return take_path(&o->cfg.bios_path, arg, err);
}

static enum status take_vgabios(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.vgabios_path = !strcmp(arg, "none") ? "" : arg;
    return ST_OK;
}

static enum status take_rom(struct run_options *o, const char *arg, struct error *err)
{
    return take_path(&o->cfg.flat_path, arg, err);
}

static enum status take_boot(struct run_options *o, const char *arg, struct error *err)
{
    const char *order = strncmp(arg, "order=", 6) ? arg : arg + 6;
    if (strchr(order, '=') || strchr(order, ','))
        return fail(err, ST_INVAL, "'%s': wants [order=]LETTERS and nothing else", arg);
    if (!*order)
        return fail(err, ST_INVAL, "wants letters of a (floppy), c (disk), d (CD), n (network)");
    for (const char *p = order; *p; p++) {
        if (!strchr("acdn", *p))
            return fail(err, ST_INVAL, "'%c' is none of a (floppy), c (disk), d (CD), n (network)",
                        *p);
        if (strchr(p + 1, *p))
            return fail(err, ST_INVAL, "'%s' has '%c' twice", order, *p);
    }
    snprintf(o->cfg.boot_order, sizeof(o->cfg.boot_order), "%s", order);
    return ST_OK;
}

/* ---- drives --------------------------------------------------------------------------------- */
static enum status add_drive(struct run_options *o, struct drive_spec d, struct error *err)
{
    if (o->n_drives == MAX_DRIVES) {
        drive_free(&d);
        return fail(err, ST_INVAL, "too many drives: %d IDE, %d floppy, %d virtio at most",
                    VM_MAX_IDE, VM_MAX_FLOPPY, VM_MAX_VIRTIO_DISKS);
    }
    o->drives[o->n_drives++] = d;
    return ST_OK;
}

static enum status take_drive(struct run_options *o, const char *arg, struct error *err)
{
    struct drive_spec d;
    enum status st = drive_parse(arg, &d, err);
    if (st) {
        drive_free(&d);
        return st;
    }
    return add_drive(o, d, err);
}

static enum status short_drive(struct run_options *o, const char *said, enum drive_bus bus,
                               int index, const char *path, struct error *err)
{
    struct drive_spec d = {.bus = bus, .index = index};
    if (!*path)
        return fail(err, ST_INVAL, "wants a path");
    d.file = strdup(path);
    if (!d.file)
        return fail(err, ST_NOMEM, "out of memory");
    snprintf(d.said, sizeof(d.said), "%s", said);
    d.cdrom = !strcmp(said, "-cdrom");
    return add_drive(o, d, err);
}

#define SHORT_DRIVE(name, bus, index)                                                              \
    static enum status take_##name(struct run_options *o, const char *arg, struct error *err)      \
    {                                                                                              \
        return short_drive(o, "-" #name, bus, index, arg, err);                                    \
    }
SHORT_DRIVE(hda, DRIVE_IDE, 0)
SHORT_DRIVE(hdb, DRIVE_IDE, 1)
SHORT_DRIVE(hdc, DRIVE_IDE, 2)
SHORT_DRIVE(hdd, DRIVE_IDE, 3)
SHORT_DRIVE(cdrom, DRIVE_IDE, 2)
SHORT_DRIVE(fda, DRIVE_FLOPPY, 0)
SHORT_DRIVE(fdb, DRIVE_FLOPPY, 1)

static enum status take_snapshot(struct run_options *o, const char *arg, struct error *err)
{
    o->snapshot = true;
    return ST_OK;
}

/* ---- network -------------------------------------------------------------------------------- */
static enum status take_nic(struct run_options *o, const char *arg, struct error *err)
{
    struct nic *n;
    enum status st = nic_parse(arg, &n, err);
    if (st)
        return st;
    o->no_nic |= !n;
    if (n && o->n_nics == VM_MAX_NIC) {
        nic_free(n);
        return fail(err, ST_INVAL, "a machine has at most %d network cards", VM_MAX_NIC);
    }
    if (n)
        o->nics[o->n_nics++] = n;
    if (o->no_nic && o->n_nics)
        return fail(err, ST_INVAL, "'none' and cards do not go together");
    return ST_OK;
}

static enum status take_net(struct run_options *o, const char *arg, struct error *err)
{
    return !strcmp(arg, "none") ? take_nic(o, arg, err)
                                : fail(err, ST_INVAL, "only 'none' is known; cards: see -nic");
}

/* ---- paravirtual devices --------------------------------------------------------------------- */
static enum status take_virtio_rng(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.virtio.rng = true;
    return ST_OK;
}

static enum status add_port(struct run_options *o, const char *name, size_t len, const char *dev,
                            struct error *err)
{
    struct virtio_port_spec *p = &o->virtio_port[o->n_virtio_ports];
    if (o->n_virtio_ports == VM_MAX_VIRTIO_PORTS)
        return fail(err, ST_INVAL, "a machine has at most %d virtio consoles and ports",
                    VM_MAX_VIRTIO_PORTS);
    p->dev = dev;
    snprintf(p->name, sizeof(p->name), "%.*s", (int)len, name);
    o->n_virtio_ports++;
    return ST_OK;
}

static enum status take_virtio_console(struct run_options *o, const char *arg, struct error *err)
{
    return add_port(o, "", 0, arg, err);
}

static enum status take_virtio_port(struct run_options *o, const char *arg, struct error *err)
{
    size_t len = strcspn(arg, ",");
    if (!len || len >= sizeof(o->virtio_port[0].name) || !arg[len])
        return fail(err, ST_INVAL, "'%s': wants NAME,DEV with a name of up to %zu characters", arg,
                    sizeof(o->virtio_port[0].name) - 1);
    return add_port(o, arg, len, arg + len + 1, err);
}

static enum status take_virtio_balloon(struct run_options *o, const char *arg, struct error *err)
{
    u64 keep = 0;
    if (arg && (!parse_size(arg, MIB, &keep) || keep < MIB))
        return fail(err, ST_INVAL, "'%s' is no size (512, 64M and 2G are)", arg);
    o->cfg.virtio.balloon = true;
    o->cfg.virtio.balloon_keep = keep;
    return ST_OK;
}

static enum status take_virtio_input(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.virtio.input = true;
    return ST_OK;
}

static enum status take_vsock(struct run_options *o, const char *arg, struct error *err)
{
    size_t len = strcspn(arg, ",");
    u64 cid = 3;
    if (o->vsock)
        return fail(err, ST_INVAL, "a machine has one socket device");
    if (arg[len] && (strncmp(arg + len, ",cid=", 5) ||
                     !parse_number(arg + len + 5, UINT32_MAX - 1, &cid) || cid < 3))
        return fail(err, ST_INVAL, "'%s': wants PATH[,cid=N], N from 3", arg);
    if (!len)
        return fail(err, ST_INVAL, "wants a path");
    o->vsock = strndup(arg, len);
    o->cfg.virtio.vsock_cid = (u32)cid;
    return o->vsock ? ST_OK : fail(err, ST_NOMEM, "out of memory");
}

/* PATH[,tag=TAG][,ro], or the keys of QEMU's -virtfs. */
static enum status take_share(struct run_options *o, const char *arg, struct error *err)
{
    static const char *const keys[] = {"path",     "tag", "mount_tag",      "ro", "rw",
                                       "readonly", "id",  "security_model", NULL};
    char *list, *key, *value;
    bool first = true, word;
    if (o->n_shares == VM_MAX_SHARES)
        return fail(err, ST_INVAL, "a machine shares at most %d folders", VM_MAX_SHARES);
    struct vm_share *s = &o->cfg.virtio.share[o->n_shares];
    list = o->shares[o->n_shares] = strdup(arg);
    if (!list)
        return fail(err, ST_NOMEM, "out of memory");
    o->n_shares++;
    s->tag = o->n_shares == 1 ? "share" : NULL;
    for (; next_pair(&list, &key, &value); first = false) {
        if (first && !strcmp(key, "local") && !value)
            continue; /* -virtfs local,... */
        if (!strcmp(key, "path") && value && *value)
            s->path = value;
        else if ((!strcmp(key, "tag") || !strcmp(key, "mount_tag")) && value)
            s->tag = value;
        else if ((!strcmp(key, "ro") || !strcmp(key, "rw")) && !value)
            s->readonly = key[1] == 'o';
        else if (!strcmp(key, "readonly") && (!value || parse_on_off(value, &word)))
            s->readonly = !value || word;
        else if (!strcmp(key, "id") || (!strcmp(key, "security_model") && value &&
                                        (!strcmp(value, "none") || !strcmp(value, "passthrough"))))
            continue;
        else if (first && !value)
            s->path = key;
        else {
            const char *near = nearest(key, keys);
            return fail(err, ST_INVAL, "'%s': wants PATH[,tag=TAG][,ro]%s%s%s", key,
                        near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        }
    }
    if (!s->path || !*s->path)
        return fail(err, ST_INVAL, "wants a folder");
    if (!s->tag)
        return fail(err, ST_INVAL, "%s: every folder but the first wants tag=TAG", s->path);
    for (int k = 0; k < o->n_shares - 1; k++)
        if (!strcmp(o->cfg.virtio.share[k].tag, s->tag))
            return fail(err, ST_INVAL, "%s and %s have the same tag", o->cfg.virtio.share[k].path,
                        s->path);
    return ST_OK;
}

/* ---- console -------------------------------------------------------------------------------- */
static enum status take_serial(struct run_options *o, const char *arg, struct error *err)
{
    if (o->n_serial == VM_MAX_SERIAL)
        return fail(err, ST_INVAL, "a machine has at most %d serial ports", VM_MAX_SERIAL);
    o->serial[o->n_serial++] = arg;
    return ST_OK;
}

static enum status take_debugcon(struct run_options *o, const char *arg, struct error *err)
{
    o->debugcon = arg;
    return ST_OK;
}

static enum status take_nographic(struct run_options *o, const char *arg, struct error *err)
{
    o->nographic = true;
    return ST_OK;
}

static enum status take_audio(struct run_options *o, const char *arg, struct error *err)
{
    return audio_parse(arg, &o->audio, err);
}

static enum status take_sound(struct run_options *o, const char *arg, struct error *err)
{
    return sound_parse(arg, &o->cfg.sound, err);
}

/* ---- time ----------------------------------------------------------------------------------- */
static enum status take_icount(struct run_options *o, const char *arg, struct error *err)
{
    u64 shift = 0;
    if (arg && !strncmp(arg, "shift=", 6))
        arg += 6;
    if (arg && !parse_number(arg, 10, &shift))
        return fail(err, ST_INVAL, "'%s': wants a shift of 0 to 10 (2^shift ns an instruction)",
                    arg);
    o->cfg.icount = true;
    o->cfg.icount_shift = (u32)shift;
    return ST_OK;
}

static enum status take_speed(struct run_options *o, const char *arg, struct error *err)
{
    return speed_parse(arg, &o->cfg.speed, err);
}

static enum status take_rtc(struct run_options *o, const char *arg, struct error *err)
{
    struct tm tm = {0};
    time_t now = time(NULL), t;
    const char *base = strncmp(arg, "base=", 5) ? "" : arg + 5, *end;

    if (!strcmp(base, "utc")) {
        o->cfg.rtc_base_ns = -1;
        return ST_OK;
    }
    if (!strcmp(base, "localtime")) {
        t = localtime_r(&now, &tm) ? now + tm.tm_gmtoff : now;
    } else {
        end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm);
        if (!end) {
            tm = (struct tm){0};
            end = strptime(base, "%Y-%m-%d", &tm);
        }
        if (!end || *end)
            return fail(err, ST_INVAL,
                        "'%s': wants base=utc, base=localtime, base=2006-06-17T16:01:21 or "
                        "base=2006-06-17",
                        arg);
        t = timegm(&tm);
        if (t < 0 || tm.tm_year >= 300)
            return fail(err, ST_RANGE, "'%s': clocks start between 1970 and 2199", arg);
    }
    o->cfg.rtc_base_ns = (i64)t * 1000000000;
    return ST_OK;
}

/* ---- run ------------------------------------------------------------------------------------ */
static enum status take_no_reboot(struct run_options *o, const char *arg, struct error *err)
{
    o->cfg.no_reboot = true;
    return ST_OK;
}

static enum status take_gdb(struct run_options *o, const char *arg, struct error *err)
{
    o->gdb = arg;
    return gdb_check_spec(arg, err);
}

static enum status take_s(struct run_options *o, const char *arg, struct error *err)
{
    o->gdb = "tcp::1234";
    return ST_OK;
}

static enum status take_hold(struct run_options *o, const char *arg, struct error *err)
{
    o->hold = true;
    return ST_OK;
}

static enum status take_stats(struct run_options *o, const char *arg, struct error *err)
{
    o->stats = true;
    return ST_OK;
}

static enum status take_stats_json(struct run_options *o, const char *arg, struct error *err)
{
    o->stats_json = arg;
    return ST_OK;
}

static enum status take_perfmap(struct run_options *o, const char *arg, struct error *err)
{
    o->perfmap = true;
    return ST_OK;
}

static enum status take_dump_block(struct run_options *o, const char *arg, struct error *err)
{
    if (!parse_number(arg, ~0ull, &o->dump_at))
        return fail(err, ST_INVAL, "'%s' is no address (0xffffffff81000000 is)", arg);
    o->dump_block = true;
    return ST_OK;
}

static enum status take_debug(struct run_options *o, const char *arg, struct error *err)
{
    static const char *const kinds[] = {"guest", "info", "debug", NULL};
    static const enum log_level level[] = {LOG_GUEST, LOG_INFO, LOG_DEBUG};
    enum status st = one_of(o, arg, "log", kinds, err);
    for (int k = 0; kinds[k]; k++)
        if (!strcmp(arg, kinds[k]) && level[k] > log_level())
            log_set_level(level[k]);
    return st;
}

static enum status take_help(struct run_options *o, const char *arg, struct error *err)
{
    options_help(stdout);
    o->done = true;
    return ST_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */
static const char *const topics[N_TOPICS] = {
    "Machine",        "Firmware and direct boot", "Disks", "Network",
    "Virtio devices", "Console and serial ports", "Sound", "Time",
    "Running",
};

static const struct option options[] = {
    {"m", "SIZE", MACHINE, take_memory, "memory; K, M, G may follow, M is meant (default 128M)"},
    {"cpu", "MODEL", MACHINE, take_cpu, "CPU model; 'help' lists them (default host)"},
    {"machine", "NAME", MACHINE, take_machine, "board; 'help' lists them (default pc)"},
    {"M", "NAME", MACHINE, take_machine, NULL},
    {"engine", "NAME[,KEYS]", MACHINE, take_engine,
     "what runs the instructions; 'help' lists them. KEYS of bt: cache=SIZE\n"
     "(of translated code), perfmap=on, jitdump=on (files for perf)"},
    {"accel", "NAME", MACHINE, take_engine, NULL},
    {"pv", "NAME", MACHINE, take_pv,
     "what the guest is told it runs on: none, kvm or trv (default kvm;\n"
     "with -rom trv)"},
    {"smp", "N", MACHINE, take_smp, "number of CPUs (so far: 1)"},
    {"name", "TEXT", MACHINE, take_name, "what the process is called in ps and top"},

    {"bios", "FILE", BOOT, take_bios, "system firmware (default: the host's SeaBIOS)"},
    {"vgabios", "FILE", BOOT, take_vgabios, "video firmware; 'none' for none"},
    {"boot", "[order=]LETTERS", BOOT, take_boot,
     "order of a floppy, c disk, d CD, n network (default cda)"},
    {"kernel", "FILE", BOOT, take_kernel,
     "boot this kernel: bzImage, ELF with a PVH note, or Multiboot"},
    {"initrd", "FILE", BOOT, take_initrd, "its initial RAM disk"},
    {"append", "TEXT", BOOT, take_append, "its command line"},
    {"rom", "FILE", BOOT, take_rom,
     "run this image below 4 GiB from the reset vector, no firmware"},
    {"flat", "FILE", BOOT, take_rom, NULL},

    {"hda", "FILE", DRIVES, take_hda, "raw image or host disk as primary master"},
    {"hdb", "FILE", DRIVES, take_hdb, "... primary slave"},
    {"hdc", "FILE", DRIVES, take_hdc, "... secondary master"},
    {"hdd", "FILE", DRIVES, take_hdd, "... secondary slave"},
    {"cdrom", "FILE", DRIVES, take_cdrom, "ISO image as CD in the secondary master"},
    {"fda", "FILE", DRIVES, take_fda, "image in floppy drive A"},
    {"fdb", "FILE", DRIVES, take_fdb, "... B"},
    {"drive", "KEYS", DRIVES, take_drive,
     "file=PATH,if=ide|floppy|virtio|pv,media=disk|cdrom,index=N,\n"
     "readonly=on|off,snapshot=on|off,format=raw (a comma in PATH: two);\n"
     "PATH may be an NBD address: nbd:unix:SOCKET, nbd:HOST:PORT, a URI;\n"
     "for virtio also serial=TEXT,queues=N"},
    {"snapshot", NULL, DRIVES, take_snapshot, "keep all writes in memory, lose them at the end"},

    {"nic", "KIND[,KEYS]", NETWORK, take_nic,
     "a network card (up to 4): user, tap,ifname=NAME, none (default), or\n"
     "socket,udp=ADDRESS:PORT,localaddr=ADDRESS:PORT. KEYS of all:\n"
     "model=e1000|virtio, mac=ADDRESS, mtu=BYTES (of virtio); of user:\n"
     "hostfwd=[tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT (host's, guest's),\n"
     "restrict=on|off, net=, host=, dns=, dhcpstart=, ipv6=on|off,\n"
     "hostname=, domainname=, tftp=DIRECTORY, bootfile=NAME"},
    {"net", "none", NETWORK, take_net, NULL},

    {"virtio-rng", NULL, VIRTIO, take_virtio_rng, "a source of random bytes"},
    {"virtio-balloon", "[SIZE]", VIRTIO, take_virtio_balloon,
     "the guest gives memory it does not use back to the host;\n"
     "SIZE: and shall do with so much (as -m)"},
    {"virtio-input", NULL, VIRTIO, take_virtio_input,
     "a keyboard and a tablet besides the PS/2 ones"},
    {"vsock", "PATH[,cid=N]", VIRTIO, take_vsock,
     "sockets between guest and host (AF_VSOCK, guest N, default 3): the guest's\n"
     "connection to port P goes to the unix socket PATH_P; one to PATH that\n"
     "says CONNECT P goes to the guest's port P"},
    {"share", "PATH[,tag=TAG][,ro]", VIRTIO, take_share,
     "a folder of the host, in the guest: mount -t 9p -o trans=virtio,\n"
     "version=9p2000.L TAG DIR (default TAG: share)"},
    {"virtfs", "local,KEYS", VIRTIO, take_share, NULL},
    {"virtio-console", "DEV", VIRTIO, take_virtio_console,
     "next paravirtual console (hvc0, ... in Linux); DEV as for -serial"},
    {"virtio-port", "NAME,DEV", VIRTIO, take_virtio_port,
     "a byte stream that the guest has as /dev/virtio-ports/NAME"},

    {"nographic", NULL, CONSOLE, take_nographic, "no window; serial port 0 on the terminal"},
    {"display", "KIND[,KEYS]", CONSOLE, display_take,
     "sdl: a window (the default in a graphical session); term: text modes on the\n"
     "terminal; vnc=[HOST]:N: for VNC clients, port 5900+N, HOST: this one; none.\n"
     "KEYS of sdl: scale=smooth|sharp|integer, fullscreen=on|off,\n"
     "screenshots=FOLDER, slots=FOLDER; of vnc: password-file=FILE,\n"
     "share=allow-exclusive|force-shared|ignore"},
    {"vnc", "[HOST]:N[,KEYS]", CONSOLE, vnc_take, NULL},
    {"screenshot", "FILE[,after=S]", CONSOLE, screenshot_take,
     "the screen at the end, or after S seconds of the guest's time: PNG, or\n"
     ".ppm; also whenever SIGUSR2 comes"},
    {"serial", "DEV", CONSOLE, take_serial,
     "next serial port (up to 4): stdio, null, none, pty, file:PATH,\n"
     "unix:PATH[,server[,nowait]]"},
    {"debugcon", "DEV", CONSOLE, take_debugcon, "debug console (ports 0xe9 and 0x402), same DEVs"},

    {"audio", "KIND", SOUND, take_audio,
     "where sound goes: sdl[,latency=MS] (the default with a window), none\n"
     "(else), wav:FILE"},

    {"sound", "CARD[,KEYS]", SOUND, take_sound,
     "a sound card besides the PC speaker: ac97, or sb16 with KEYS\n"
     "iobase=0x220, irq=5, dma=1, hdma=5, mpu=0x330; again for both"},

    {"rtc", "base=WHEN", TIME, take_rtc, "utc (default), localtime, 2006-06-17[T16:01:21]"},
    {"icount", "[SHIFT]", TIME, take_icount,
     "time follows instructions, 2^SHIFT ns each: runs repeat exactly"},
    {"speed", "MIPS|N%|max", TIME, take_speed,
     "at most so many million instructions a second, or so much of the host's\n"
     "time, for old games (default max); with -icount, virtual time's pace"},

    {"loadvm", "FILE", RUN, loadvm_take,
     "start as the machine that savevm wrote to FILE; ,disks=any: though an\n"
     "image was written to since"},
    {"monitor", "DEV", RUN, monitor_take,
     "commands for the running machine on stdio, pty, unix:PATH,server,nowait\n"
     "or none (default: Ctrl-A c on the terminal)"},
    {"no-reboot", NULL, RUN, take_no_reboot, "a reset ends the run"},
    {"gdb", "DEV", RUN, take_gdb,
     "serve gdb at tcp:[HOST]:PORT (no HOST: this one) or unix:PATH;\n"
     ",arch=i8086|i386|x86-64 says what gdb shall believe"},
    {"s", NULL, RUN, take_s, "the same as -gdb tcp::1234"},
    {"S", NULL, RUN, take_hold, "do not start until gdb says so"},
    {"stats", NULL, RUN, take_stats, "counters on stderr at the end"},
    {"stats-json", "FILE", RUN, take_stats_json,
     "counters, and exits by cause with their cost, as JSON into FILE at the end"},
    {"perfmap", NULL, RUN, take_perfmap, "names of translated code in /tmp/perf-PID.map, for perf"},
    {"dump-block", "ADDRESS", RUN, take_dump_block,
     "at the end, guest and host code of the block at this linear address"},
    {"d", "WHAT", RUN, take_debug, "log on stderr: guest (its mistakes), info, debug"},
    {"help", NULL, RUN, take_help, "this text"},
    {"h", NULL, RUN, take_help, NULL},
};

void options_help(FILE *f)
{
    fprintf(f, "usage: trivisor run [options]\n"
               "Runs a virtual machine. -option and --option are the same.\n");
    for (int t = 0; t < N_TOPICS; t++) {
        fprintf(f, "\n%s\n", topics[t]);
        for (size_t k = 0; k < ARRAY_LEN(options); k++) {
            const struct option *p = &options[k];
            char left[64];
            if (p->topic != (enum topic)t || !p->help)
                continue;
            snprintf(left, sizeof(left), "-%s%s%s", p->name, p->arg ? " " : "",
                     p->arg ? p->arg : "");
            const char *text = p->help;
            for (;;) {
                int n = (int)strcspn(text, "\n");
                fprintf(f, "  %-22s %.*s\n", left, n, text);
                if (!text[n])
                    break;
                text += n + 1;
                left[0] = 0;
            }
        }
    }
    fprintf(f,
            "\nOn the terminal: Ctrl-A x ends the machine, Ctrl-A b sends a break, Ctrl-A a sends\n"
            "Ctrl-A, Ctrl-A h helps.\n"
            "\nExit status\n"
            "  %-22d the guest switched itself off, or Ctrl-A x\n"
            "  %-22d the command line makes no sense\n"
            "  %-22d a file or the host failed\n"
            "  %-22d reset, with -no-reboot\n"
            "  %-22d triple fault, with -no-reboot\n"
            "  %-22d ended by SIGINT, SIGTERM or SIGHUP\n"
            "  %-22s the guest ended the run through the debug-exit port\n",
            STATUS_POWEROFF, STATUS_USAGE, STATUS_HOST, STATUS_RESET, STATUS_TRIPLE, STATUS_SIGNAL,
            "odd");
}

/* ---- the command line ----------------------------------------------------------------------- */
static enum status unknown_option(const char *arg, size_t len, struct error *err)
{
    const char *names[ARRAY_LEN(options) + 1];
    char word[64];
    for (size_t k = 0; k < ARRAY_LEN(options); k++)
        names[k] = options[k].name;
    names[ARRAY_LEN(options)] = NULL;
    snprintf(word, sizeof(word), "%.*s", (int)len, arg);
    const char *near = nearest(word, names);
    if (near)
        return fail(err, ST_INVAL, "unknown option '-%s' (did you mean '-%s'?)", word, near);
    return fail(err, ST_INVAL, "unknown option '-%s' ('trivisor run -help' lists them)", word);
}

static const struct option *find_option(const char *name, size_t len)
{
    for (size_t k = 0; k < ARRAY_LEN(options); k++)
        if (strlen(options[k].name) == len && !memcmp(options[k].name, name, len))
            return &options[k];
    return NULL;
}

static bool may_lack_value(const struct option *p)
{
    return p->arg[0] == '[' && p->arg[strlen(p->arg) - 1] == ']';
}

static enum status parse_one(int argc, char **argv, int *at, struct run_options *o,
                             struct error *err)
{
    const char *name = argv[*at], *value = NULL;
    size_t len;

    if (name[0] != '-' || !name[1])
        return fail(err, ST_INVAL, "'%s' is no option; a disk image is given with -hda", name);
    bool two = name[1] == '-';
    name += 1 + two;
    len = strlen(name);
    if (two && strchr(name, '=')) {
        len = strcspn(name, "=");
        value = name + len + 1;
    }
    const struct option *p = find_option(name, len);
    if (!p)
        return unknown_option(name, len, err);
    if (!p->arg && value)
        return fail(err, ST_INVAL, "-%s takes no value", p->name);
    if (p->arg && !value && *at + 1 < argc) {
        const char *next = argv[*at + 1];
        /* An optional value is one that cannot be the next option. */
        if (!may_lack_value(p) || next[0] != '-') {
            value = next;
            ++*at;
        }
    }
    if (p->arg && !value && !may_lack_value(p))
        return fail(err, ST_INVAL, "-%s wants a value: %s", p->name, p->arg);

    struct error why;
    enum status st = p->take(o, value, &why);
    return st ? fail(err, st, "-%s: %.480s", p->name, why.msg) : ST_OK;
}

static enum status check_together(struct run_options *o, struct error *err)
{
    const struct vm_config *c = &o->cfg;
    if (!c->kernel_path && (c->initrd_path || c->append))
        return fail(err, ST_INVAL, "%s wants -kernel", c->initrd_path ? "-initrd" : "-append");
    if (c->flat_path && (c->kernel_path || c->bios_path))
        return fail(err, ST_INVAL, "-rom runs without firmware: not with %s",
                    c->kernel_path ? "-kernel" : "-bios");
    if ((o->window || o->vnc || o->term) && o->nographic)
        return fail(err, ST_INVAL, "-nographic has no screen: not with -display");
    if (o->hold && !o->gdb)
        return fail(err, ST_INVAL, "-S waits for a debugger: it wants -s or -gdb");
    if (o->perfmap) {
        const char *engine = c->engine ? c->engine : vm_engines()[0];
        size_t size = strlen(engine) + sizeof(",perfmap=on");
        o->engine = malloc(size);
        if (!o->engine)
            return fail(err, ST_NOMEM, "out of memory");
        snprintf(o->engine, size, "%s,perfmap=on", engine);
        enum status st = vm_engine_check(o->engine, err);
        if (st != ST_OK)
            return fail(err, st, "-perfmap: %s does not translate", engine);
        o->cfg.engine = o->engine;
    }
    return drives_place(o, err);
}

enum status options_parse(int argc, char **argv, struct run_options *o, struct error *err)
{
    enum status st = ST_OK;
    memset(o, 0, sizeof(*o));
    vm_config_init(&o->cfg);
    for (int at = 0; !st && !o->done && at < argc; at++)
        st = parse_one(argc, argv, &at, o, err);
    if (!st && !o->done)
        st = check_together(o, err);
    return st;
}

void options_free(struct run_options *o)
{
    for (int k = 0; k < o->n_drives; k++)
        drive_free(&o->drives[k]);
    for (int k = 0; k < o->n_shares; k++)
        free(o->shares[k]);
    free(o->vsock);
    for (int k = 0; k < o->n_nics; k++)
        nic_free(o->nics[k]);
    free(o->engine);
}
