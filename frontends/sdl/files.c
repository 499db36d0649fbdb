/*
 * frontends/sdl/files.c - folders as lines of a menu: the chooser of disk images.
 */
#include "frontends/sdl/menu_priv.h"
#include "frontends/sdl/parts_priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct entry {
    char *name;
    u64 size;
    bool folder;
};

bool file_is_image(const char *name, bool floppy)
{
    static const char *const ends[] = {"img", "ima", "flp", "vfd", "dsk", "fd",  "bin",
                                       "iso", "cdr", "raw", "144", "720", "360", "12"};
    const char *dot = strrchr(name, '.');
    for (size_t k = 0; dot && k < ARRAY_LEN(ends); k++)
        if (!strcasecmp(dot + 1, ends[k]))
            return strcasecmp(ends[k], "iso") || !floppy;
    return false;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder ? -1 : 1;
    return strcasecmp(x->name, y->name);
}

static bool wanted(const char *folder, const char *name, bool floppy, bool all, struct entry *e)
{
    char path[4096];
    struct stat st;
    if (name[0] == '.')
        return false;
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
        stat(path, &st) < 0)
        return false;
    e->folder = S_ISDIR(st.st_mode);
    e->size = (u64)st.st_size;
    if (e->folder)
        return true;
    return S_ISREG(st.st_mode) && st.st_size > 0 && (!floppy || st.st_size <= FILES_FLOPPY_MAX) &&
           (all || file_is_image(name, floppy));
}

void file_size_text(u64 size, char out[24])
{
    if (size < 10 * MIB)
        snprintf(out, 24, "%llu KB", (unsigned long long)((size + 1023) / KIB));
    else
        snprintf(out, 24, "%llu MB", (unsigned long long)(size / MIB));
}

enum status files_list(struct menu *m, const char *folder, bool floppy, bool all, int what_folder,
                       int what_file, struct error *err)
{
    struct entry *list = NULL;
    size_t n = 0, room = 0;
    DIR *d = opendir(folder);
    if (!d)
        return fail(err, status_from_errno(errno), "%s: %s", folder, strerror(errno));
    for (const struct dirent *e; (e = readdir(d)) && n < MENU_MAX;) {
        struct entry one = {0};
        if (!wanted(folder, e->d_name, floppy, all, &one))
            continue;
        if (n == room) {
            struct entry *more = realloc(list, (room + 64) * sizeof(*list));
            if (!more)
                break;
            list = more;
            room += 64;
        }
        one.name = strdup(e->d_name);
        if (one.name)
            list[n++] = one;
    }
    closedir(d);
    if (n)
        qsort(list, n, sizeof(*list), by_name);
    for (size_t k = 0; k < n; k++) {
        char size[24];
        file_size_text(list[k].size, size);
        struct menu_line *l =
            menu_add(m, list[k].folder ? what_folder : what_file, (int)k,
                     list[k].folder ? NULL : size, "%s%s", list[k].name, list[k].folder ? "/" : "");
        if (l)
            l->below = list[k].folder;
        free(list[k].name);
    }
    free(list);
    return ST_OK;
}

bool file_join(const char *folder, const char *name, char out[FILES_PATH])
{
    size_t len = strlen(name), at;
    if (!strcmp(name, "..")) { /* the folder above; of "/" itself */
        snprintf(out, FILES_PATH, "%s", folder);
        char *slash = strrchr(out, '/');
        if (slash)
            slash[slash == out] = 0;
        return true;
    }
    at = strlen(folder);
    const char *between = at && folder[at - 1] == '/' ? "" : "/";
    if (snprintf(out, FILES_PATH, "%s%s%s", folder, between, name) >= FILES_PATH)
        return false;
    if (len && out[strlen(out) - 1] == '/')
        out[strlen(out) - 1] = 0;
    return true;
}
