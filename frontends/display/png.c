/*
 * frontends/display/png.c - a picture as a file: PNG by libpng, or a portable pixmap.
 *
 * The one file that includes libpng's header. Files are complete or not there: what has a name of
 * the user's is written beside it and renamed.
 */
#include "frontends/display/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef TRV_HAVE_PNG
#include <png.h>

static bool write_png(FILE *f, const u8 *rgb, int width, int height, char why[128])
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (u32)width,
                       .height = (u32)height,
                       .format = PNG_FORMAT_RGB};
    bool done = png_image_write_to_stdio(&image, f, 0, rgb, 0, NULL);
    if (PNG_IMAGE_FAILED(image))
        snprintf(why, 128, "%s", image.message);
    png_image_free(&image);
    return done;
}

static const bool have_png = true;
#else
static bool write_png(FILE *f, const u8 *rgb, int width, int height, char why[128])
{
    return false;
}

static const bool have_png = false;
#endif

static bool write_ppm(FILE *f, const u8 *rgb, int width, int height)
{
    size_t n = (size_t)width * (size_t)height * 3;
    return fprintf(f, "P6\n%d %d\n255\n", width, height) > 0 && fwrite(rgb, 1, n, f) == n;
}

static bool is_ppm(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".ppm");
}

/* Writes to fd, which is closed; the caller removes what is left when that fails. */
static enum status write_fd(int fd, const char *path, bool ppm, const u32 *pixels, int width,
                            int height, struct error *err)
{
    char why[128] = "";
    size_t n = (size_t)width * (size_t)height;
    u8 *rgb = malloc(n * 3);
    FILE *f = fdopen(fd, "wb");
    bool done = rgb && f;
    for (size_t k = 0; done && k < n; k++) {
        rgb[k * 3] = (u8)(pixels[k] >> 16);
        rgb[k * 3 + 1] = (u8)(pixels[k] >> 8);
        rgb[k * 3 + 2] = (u8)pixels[k];
    }
    errno = 0;
    if (done)
        done = ppm ? write_ppm(f, rgb, width, height) : write_png(f, rgb, width, height, why);
    if (f ? fclose(f) != 0 : close(fd) != 0)
        done = false;
    free(rgb);
    return done ? ST_OK
                : fail(err, ST_IO, "%s: %s", path,
                       why[0]  ? why
                       : errno ? strerror(errno)
                               : "cannot write");
}

static enum status no_png(struct error *err)
{
    return fail(err, ST_UNSUP, "this build has no PNG: libpng-dev was not there (a .ppm is)");
}

int new_file(const char *folder, const char *kind, char path[512])
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    for (int k = 1; k < 1000; k++) {
        char more[16] = "";
        if (k > 1)
            snprintf(more, sizeof(more), "-%d", k);
        snprintf(path, 512, "%s%strivisor-%s%s.%s", folder, *folder ? "/" : "", stamp, more, kind);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum status png_save(const char *folder, const u32 *pixels, int width, int height, char path[512],
                     struct error *err)
{
    int fd = new_file(folder, have_png ? "png" : "ppm", path);
    if (fd < 0)
        return fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    enum status st = write_fd(fd, path, !have_png, pixels, width, height, err);
    if (st != ST_OK)
        unlink(path);
    return st;
}

/* Pipes and devices (/dev/stdout) are written to where they are. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

enum status picture_check(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    if (!*path || (slash && !slash[1]))
        return fail(err, ST_INVAL, "wants a file's name");
    if (strlen(path) > 480)
        return fail(err, ST_INVAL, "%.40s...: too long a name", path);
    if (!is_ppm(path) && !have_png)
        return no_png(err);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return fail(err, ST_FORMAT, "%s: is a directory", path);
    if (is_special(path))
        return ST_OK;
    char folder[512];
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (access(folder, W_OK | X_OK) < 0)
        return fail(err, status_from_errno(errno), "%s: %s", folder, strerror(errno));
    return ST_OK;
}

enum status picture_write(const char *path, const u32 *pixels, int width, int height,
                          struct error *err)
{
    bool beside = !is_special(path);
    char temp[512];
    enum status st = picture_check(path, err);
    if (st != ST_OK)
        return st;
    snprintf(temp, sizeof(temp), beside ? "%s.%ld" : "%s", path, (long)getpid());
    int fd = open(
        temp, beside ? O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC : O_WRONLY | O_CLOEXEC,
        0666);
    if (fd < 0)
        return fail(err, status_from_errno(errno), "%s: %s", temp, strerror(errno));
    st = write_fd(fd, temp, is_ppm(path), pixels, width, height, err);
    if (st == ST_OK && beside && rename(temp, path) < 0)
        st = fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (st != ST_OK && beside)
        unlink(temp);
    return st;
}
