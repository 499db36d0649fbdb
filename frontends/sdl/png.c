/*
 * frontends/sdl/png.c - a picture as a new PNG file, by libpng.
 *
 * The one file that includes its header.
 */
#include "frontends/sdl/parts_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int make_file(const char *folder, char path[512])
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    for (int k = 1; k < 1000; k++) {
        char more[16] = "";
        if (k > 1)
            snprintf(more, sizeof(more), "-%d", k);
        snprintf(path, 512, "%s%strivisor-%s%s.png", folder, *folder ? "/" : "", stamp, more);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum status png_save(const char *folder, const u32 *pixels, int width, int height, char path[512],
                     struct error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (u32)width,
                       .height = (u32)height,
                       .format = PNG_FORMAT_RGB};
    size_t n = (size_t)width * (size_t)height;
    u8 *rgb = malloc(n * 3);
    if (!rgb)
        return fail(err, ST_NOMEM, "out of memory");
    for (size_t k = 0; k < n; k++) {
        rgb[k * 3] = (u8)(pixels[k] >> 16);
        rgb[k * 3 + 1] = (u8)(pixels[k] >> 8);
        rgb[k * 3 + 2] = (u8)pixels[k];
    }
    enum status st = ST_OK;
    int fd = make_file(folder, path);
    if (fd < 0) {
        st = fail(err, status_from_errno(errno), "%s: %s", path, strerror(errno));
    } else {
        FILE *f = fdopen(fd, "wb");
        bool done = f && png_image_write_to_stdio(&image, f, 0, rgb, 0, NULL);
        if (f ? fclose(f) != 0 : close(fd) != 0)
            done = false;
        if (!done) {
            st = fail(err, ST_IO, "%s: %s", path,
                      PNG_IMAGE_FAILED(image) ? image.message : strerror(errno));
            unlink(path);
        }
    }
    png_image_free(&image);
    free(rgb);
    return st;
}
