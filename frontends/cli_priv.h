/*
 * frontends/cli_priv.h - what the files of the `trivisor` command share.
 *
 * You are here: main.c picks the subcommand; run.c is `run`; options.c knows every option of it;
 * drive.c disks; stream.c and io.c serial ports and their host side; term.c the terminal.
 */
#ifndef FRONTENDS_CLI_PRIV_H
#define FRONTENDS_CLI_PRIV_H

#include "base/status.h"
#include "base/types.h"
#include "frontends/audio/audio.h"
#include "frontends/display/display.h"
#include "frontends/display/shot.h"
#include "frontends/sdl/window.h"
#include "machine/vm.h"

#include <stdio.h>

/* How the process ends. The debug-exit port gives odd numbers (devices/debugexit.h), so ours are
 * even: a guest cannot pretend to be one of them. */
enum exit_status {
    STATUS_POWEROFF = 0, /* the guest switched itself off, or Ctrl-A x */
    STATUS_USAGE = 2,    /* the command line makes no sense */
    STATUS_HOST = 4,     /* a file, the host's memory, a failure while running */
    STATUS_RESET = 6,    /* reset, with -no-reboot */
    STATUS_TRIPLE = 8,   /* triple fault, with -no-reboot */
    STATUS_SIGNAL = 10,  /* SIGINT, SIGTERM or SIGHUP */
};

/* ---- text (text.c) ---- */
/* The entry of a NULL-terminated list that is nearest to a mistyped word, or NULL when none is
 * near. */
const char *nearest(const char *word, const char *const *list);
/* "512", "64M", "1.5G" is not one; a number without a suffix counts in `unit` bytes. */
bool parse_size(const char *text, u64 unit, u64 *out);
/* Decimal or 0x..., all of it, at most max. */
bool parse_number(const char *text, u64 max, u64 *out);
bool parse_on_off(const char *text, bool *out);
/* Cuts the next "key=value" (value NULL without '=') off a comma-separated list; ",," stands for a
 * comma. Works in place; false at the end. */
bool next_pair(char **list, char **key, char **value);
/* An option's "FIRST,key=value,...". known: its keys, NULL at the end. first: takes the first piece
 * as it is written (NULL: that is a key, too). key: takes the value (NULL without '=') of known[k].
 */
struct option_words {
    const char *const *known;
    enum status (*first)(void *to, const char *text, struct error *err);
    enum status (*key)(void *to, int k, const char *value, struct error *err);
};
/* Up to the first mistake; a key that is not known is one. ST_INVAL, ST_NOMEM, and what they say.
 */
enum status parse_words(const char *text, const struct option_words *w, void *to,
                        struct error *err);
/* Which of a NULL-terminated list a value (NULL: none) is; <0: none of them. */
int which_of(const char *value, const char *const *list);
/* Prints the names of a list to stdout, four spaces before each, after a heading. */
void print_list(const char *heading, const char *const *list);

/* ---- options (options.c) ---- */
enum drive_bus { DRIVE_IDE, DRIVE_FLOPPY, DRIVE_VIRTIO, DRIVE_PV, N_DRIVE_BUSES };
struct drive_spec {
    char *file;    /* NULL: no medium */
    char said[64]; /* the option, for messages: "-hda" */
    enum drive_bus bus;
    int index; /* -1: the next free */
    bool cdrom, readonly, snapshot;
    bool raw;     /* format=raw was said: do not guess */
    char *serial; /* of a virtio disk; NULL: not said */
    int queues;   /* of a virtio disk; 0: not said */
};

enum {
    MAX_DRIVES = VM_MAX_IDE + VM_MAX_FLOPPY + VM_MAX_VIRTIO_DISKS,
    MAX_STREAMS = VM_MAX_SERIAL + 2 + VM_MAX_VIRTIO_PORTS
};

struct nic; /* net/net.h */

struct run_options {
    struct vm_config cfg; /* all but drives, serial and debugcon */
    struct drive_spec drives[MAX_DRIVES];
    int n_drives;
    const char *serial[VM_MAX_SERIAL];
    int n_serial;
    const char *debugcon, *monitor, *loadvm;
    struct virtio_port_spec {
        const char *dev;
        char name[32]; /* "": a console */
    } virtio_port[VM_MAX_VIRTIO_PORTS];
    int n_virtio_ports;
    char *shares[VM_MAX_SHARES]; /* what cfg.virtio.share points into */
    int n_shares;
    char *vsock; /* the host's socket, NULL: none; a copy */
    struct nic *nics[VM_MAX_NIC];
    int n_nics;
    bool no_nic; /* -nic none */
    struct audio_spec audio;
    const char *name;
    const char *gdb; /* -gdb's argument */
    bool hold;       /* -S */
    struct shot_spec shots[SHOT_MAX];
    int n_shots;
    bool window;    /* -display sdl */
    bool vnc, term; /* -display vnc, term */
    struct vnc_options vnc_options;
    struct window_options window_options;
    bool nographic, display_none, snapshot, stats, perfmap;
    const char *stats_json; /* the file, NULL: none */
    char *engine;           /* cfg.engine when it is a copy of ours */
    bool dump_block;
    u64 dump_at; /* linear address */
    bool done;   /* a list was asked for and printed: nothing to run */
};

/* argv without the command's name. ST_INVAL and a message for a mistake. */
enum status options_parse(int argc, char **argv, struct run_options *o, struct error *err);
void options_free(struct run_options *o);
void options_help(FILE *f);
/* A word of a list, up to a comma; "help" prints the list. For takers of options. */
enum status one_of(struct run_options *o, const char *arg, const char *what,
                   const char *const *list, struct error *err);
enum status display_take(struct run_options *o, const char *arg, struct error *err);
enum status vnc_take(struct run_options *o, const char *arg, struct error *err);
enum status loadvm_take(struct run_options *o, const char *arg, struct error *err);
enum status monitor_take(struct run_options *o, const char *arg, struct error *err);
enum status screenshot_take(struct run_options *o, const char *arg, struct error *err);

/* ---- drives (drive.c) ---- */
/* Takes a -drive argument apart. */
enum status drive_parse(const char *text, struct drive_spec *d, struct error *err);
/* Gives every drive its place. */
enum status drives_place(struct run_options *o, struct error *err);
void drive_free(struct drive_spec *d);
/* Opens the images into the configuration; on failure none stays open. */
enum status drives_open(struct run_options *o, struct error *err);
void drives_close(struct vm_config *cfg);

/* ---- speed (speed.c) ---- */
/* -speed's argument: "8" (million instructions a second), "50%", "max". ST_INVAL, ST_RANGE. */
enum status speed_parse(const char *text, struct vm_speed *out, struct error *err);

/* ---- the terminal (term.c): the process has one ---- */
/* Raw input when stdin is a terminal; what it was is restored by term_restore(), which signal
 * handlers may call, and on every way out of the process. */
void term_raw(void);
void term_restore(void);
/* Something draws on the whole terminal: what brings its screen up, and what takes it away and
 * attributes back, for signal handlers; standard error is kept meanwhile, and shown afterwards.
 * plain NULL: no longer (it has taken it away itself). */
void term_screen(const char *enter, const char *leave, const char *plain);
int term_resumed(void); /* changes when the terminal came back after SIGTSTP */
bool term_away(void);   /* between the two */

/* ---- views of the engine (views.c) ---- */
void views_print_stats(const struct vm *vm, FILE *f);
/* The machine's counters, its ledger and the engine's counters, as one JSON object. False: the file
 * cannot be written. */
bool views_json_stats(const struct vm *vm, FILE *f);
/* The watched block, guest and host code side by side. */
void views_print_block(struct vm *vm, u64 lin, FILE *f);

/* ---- commands ---- */
/* `run` with somebody who watches; each call may be NULL. All on the VM's thread. */
struct run_hook {
    void *ctx;
    void (*configure)(void *ctx, struct vm_config *cfg); /* the options are parsed */
    enum status (*start)(void *ctx, struct vm *vm, struct error *err);
    enum vm_stop (*run)(void *ctx, struct vm *vm, struct error *err); /* in vm_run's place */
    void (*end)(void *ctx, struct vm *vm); /* the VM is about to be freed */
};
int run_with(int argc, char **argv, const struct run_hook *hook);
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv); /* check/check.c */
void check_help(FILE *f);
int cmd_record(int argc, char **argv); /* record/record.c */
void record_help(FILE *f);
int cmd_compare(int argc, char **argv); /* compare/compare.c */
void compare_help(FILE *f);
int cmd_snapshot(int argc, char **argv); /* save.c */
void snapshot_help(FILE *f);
int cmd_trace(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_lockstep(int argc, char **argv);
void lockstep_help(FILE *f);

#endif
