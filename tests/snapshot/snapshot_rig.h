/*
 * tests/snapshot/snapshot_rig.h - machines that are saved, loaded and compared, section by section.
 */
#ifndef TESTS_SNAPSHOT_SNAPSHOT_RIG_H
#define TESTS_SNAPSHOT_SNAPSHOT_RIG_H

#include "tests/machine/machine_rig.h"
#include "machine/lockstep.h"
#include "machine/snapshot_priv.h"
#include "machine/trace.h"

/* A folder of its own for the files of one test. */
struct folder {
    char path[64];
};
static inline void folder_new(struct folder *f)
{
    strcpy(f->path, "/tmp/trivisor-snapshot-XXXXXX");
    cr_assert(mkdtemp(f->path) != NULL);
}
static inline void folder_free(struct folder *f)
{
    char cmd[128];
    snprintf(cmd, sizeof(cmd), "rm -rf %s", f->path);
    cr_expect_eq(system(cmd), 0);
}
/* One of a few buffers: use it before the fourth call after. */
static inline const char *in(const struct folder *f, const char *name)
{
    static char buf[4][128];
    static int turn;
    char *p = buf[turn++ & 3];
    snprintf(p, sizeof(buf[0]), "%s/%s", f->path, name);
    return p;
}

static inline u8 *file_bytes(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL, "%s", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    u8 *p = malloc(*size + 1);
    cr_assert_eq(fread(p, 1, *size, f), *size);
    fclose(f);
    return p;
}
static inline void bytes_file(const char *path, const void *p, size_t size)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f != NULL && fwrite(p, 1, size, f) == size);
    fclose(f);
}

/* Sections of both that are not byte for byte the same; the head may differ (date, engine). */
static inline int files_differ(const char *a, const char *b, char *what, size_t size)
{
    struct snap_reader r[2];
    struct error err;
    int bad = 0;
    size_t n = 0;
    *what = 0;
    cr_assert_eq(snap_open(&r[0], a, &err), ST_OK, "%s", err.msg);
    cr_assert_eq(snap_open(&r[1], b, &err), ST_OK, "%s", err.msg);
    if (r[0].n != r[1].n)
        bad++;
    for (int k = 0; k < r[0].n; k++) {
        struct snap_section *x = &r[0].entry[k].s;
        struct snap_entry *e = snap_find(&r[1], x->name);
        if (!strcmp(x->name, "head"))
            continue;
        if (!e || e->s.contents_sum != x->contents_sum || e->s.length != x->length ||
            e->s.plain != x->plain) {
            bad++;
            if (n < size)
                n += (size_t)snprintf(what + n, size - n, "%s; ", x->name);
        }
    }
    snap_close(&r[0]);
    snap_close(&r[1]);
    return bad;
}

#endif
