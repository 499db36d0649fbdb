/*
 * frontends/sdl/jobs.c - what the window has done to the machine between two of its runs: media
 * changed, the machine saved and loaded.
 *
 * Invariant: while feed.job_out, the fields of window.job that the VM's thread uses are its.
 */
#include "frontends/sdl/window_priv.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

bool job_start(struct window *w, void (*run)(void *arg, struct vm *vm))
{
    if (!w->can_pause) {
        note(w, "this command cannot do that to its machine");
        return false;
    }
    if (!w->job.busy && !atomic_load(&w->feed.out) && atomic_load(&w->feed.paused))
        atomic_store(&w->feed.out, true); /* lent: a picture comes with the job */
    if (w->job.busy || !feed_do(&w->feed, (struct feed_job){run, w})) {
        note(w, "busy: once more in a moment");
        return false;
    }
    w->job.busy = true;
    return true;
}

/* ---- media: VM's thread ---------------------------------------------------------------------- */
static void look_at_media(void *arg, struct vm *vm)
{
    struct job *j = &((struct window *)arg)->job;
    j->n_media = vm_media(vm, j->media);
    j->status = ST_OK;
}

/* The drive that was named, else the first of its kind, empty ones first. */
static bool find_drive(const struct job *j, struct vm *vm, struct vm_medium *out)
{
    struct vm_medium all[VM_MAX_MEDIA];
    enum vm_medium_kind kind = j->floppy ? VM_MEDIUM_FLOPPY : VM_MEDIUM_CD;
    int n = vm_media(vm, all), best = -1;
    if (j->name[0])
        return vm_media_find(vm, j->name, out);
    for (int k = 0; k < n; k++)
        if (all[k].kind == kind && (best < 0 || (all[best].loaded && !all[k].loaded)))
            best = k;
    if (best >= 0)
        *out = all[best];
    return best >= 0;
}

static void change(void *arg, struct vm *vm)
{
    struct job *j = &((struct window *)arg)->job;
    struct vm_medium d;
    if (!find_drive(j, vm, &d)) {
        j->status =
            fail(&j->err, ST_INVAL, "this machine has no %s drive", j->floppy ? "floppy" : "CD");
    } else {
        bool in = j->block != NULL;
        j->status = vm_media_change(vm, d.kind, d.unit, j->block, j->force, &j->err);
        if (!j->status) {
            j->block = NULL; /* the machine's */
            snprintf(j->said, sizeof(j->said), "%s: %.300s", d.name, in ? j->file : "empty");
        }
    }
    j->n_media = vm_media(vm, j->media);
}

/* ---- media: the window's --------------------------------------------------------------------- */
u64 job_file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0 ? (u64)st.st_size : 0;
}

void job_media(struct window *w)
{
    w->job.media_known = false;
    job_start(w, look_at_media);
}

bool job_insert(struct window *w, const char *path, const char *drive, bool floppy,
                struct error *err)
{
    struct job *j = &w->job;
    struct block *b = NULL;
    if (j->busy) {
        fail(err, ST_BUSY, "busy: once more in a moment");
        return false;
    }
    enum status st = block_open_raw(path, !floppy, floppy && w->o.snapshot, &b, err);
    if (st == ST_ACCESS && floppy) /* write-protected */
        st = block_open_raw(path, true, false, &b, err);
    if (st)
        return false;
    j->block = b;
    j->force = false;
    j->floppy = floppy;
    snprintf(j->name, sizeof(j->name), "%s", drive);
    snprintf(j->file, sizeof(j->file), "%.250s", path);
    if (job_start(w, change))
        return true;
    block_close(b);
    j->block = NULL;
    fail(err, ST_BUSY, "not now");
    return false;
}

void job_eject(struct window *w, const char *drive, bool force)
{
    struct job *j = &w->job;
    if (j->busy)
        return note(w, "busy: once more in a moment");
    j->block = NULL;
    j->force = force;
    snprintf(j->name, sizeof(j->name), "%s", drive);
    job_start(w, change);
}

/* ---- when it is done ------------------------------------------------------------------------- */
bool job_finished(struct window *w)
{
    struct job *j = &w->job;
    if (!j->busy || !atomic_load(&w->feed.job_done))
        return false;
    j->busy = false;
    atomic_store(&w->feed.job_out, false);
    block_close(j->block); /* refused */
    j->block = NULL;
    j->media_known = true;
    if (j->status) {
        log_error("window: %s", j->err.msg);
        note(w, j->err.msg);
    } else if (j->said[0]) {
        log_info("window: %s", j->said);
        note(w, j->said);
    }
    j->said[0] = 0;
    j->status = ST_OK;
    w->moved_ms = now_ms();
    return true;
}

/* The VM's thread waits for the window to end: nobody works on a job. */
void job_end(struct window *w)
{
    block_close(w->job.block);
    w->job.block = NULL;
    free(w->job.picture);
    w->job.picture = NULL;
}
