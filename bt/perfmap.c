/*
 * bt/perfmap.c - /tmp/perf-PID.map, where `perf report` finds the names of code that no file has.
 *
 * A line a block: START SIZE NAME, numbers in hexadecimal (the kernel tree's
 * tools/perf/Documentation/jit-interface.txt). The format cannot take a name back: after the cache
 * was emptied the later line of an address counts. Several machines of one process share the file.
 */
#include "bt/perf_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Wall time at which this process began, seconds; 0: not known. */
static i64 process_start(void)
{
    char text[1024], *p;
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = 0;
    p = strrchr(text, ')'); /* field 2; names may hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    struct timespec real, boot;
    if (!p || clock_gettime(CLOCK_REALTIME, &real) || clock_gettime(CLOCK_BOOTTIME, &boot))
        return 0;
    return real.tv_sec - boot.tv_sec + (i64)strtoull(p + 1, NULL, 10) / sysconf(_SC_CLK_TCK);
}

static void add(struct perf_file *p, const u8 *rx, const u8 *code, u64 size, const char *name)
{
    (void)code;
    dprintf(p->fd, "%" PRIx64 " %" PRIx64 " %s\n", (u64)(uintptr_t)rx, size, name);
}

struct perf_file *perfmap_open(struct error *err)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    struct perf_file *p = calloc(1, sizeof(*p));
    int fd = p ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    /* /tmp is everybody's: only a file of our own */
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
        fail(err, ST_IO, "cannot write %s: %s", path, fd < 0 ? strerror(errno) : "not our file");
        if (fd >= 0)
            close(fd);
        free(p);
        return NULL;
    }
    /* left by a process that had our number before */
    if (st.st_mtime < process_start() && ftruncate(fd, 0) < 0)
        (void)0;
    p->fd = fd;
    p->add = add;
    return p;
}

void perf_add(struct perf_file *p, const u8 *rx, const u8 *code, u64 size, const char *name)
{
    if (p->add)
        p->add(p, rx, code, size, name);
}

void perf_close(struct perf_file *p)
{
    if (!p)
        return;
    if (p->marker)
        munmap(p->marker, p->marker_size);
    close(p->fd);
    free(p);
}
