/*
 * bt/jitdump.c - /tmp/jit-PID.dump: names and code of blocks for `perf inject --jit`.
 *
 * Unlike a perf map it has times, so that blocks which came one after the other at one address are
 * told apart, and `perf annotate` sees their code. Times are CLOCK_MONOTONIC: perf record -k 1.
 * Format: the kernel tree's tools/perf/Documentation/jitdump-specification.txt.
 */
#include "bt/perf_priv.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

struct header {
    u32 magic, version, size, machine, pad, pid;
    u64 time, flags;
};
struct load { /* a record; the name with its 0 and the code follow */
    u32 id, size;
    u64 time;
    u32 pid, tid;
    u64 vma, addr, code_size, index;
};
enum { MAGIC = 0x4a695444, VERSION = 1, RECORD_LOAD = 0 };

static u64 now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static void add(struct perf_file *p, const u8 *rx, const u8 *code, u64 size, const char *name)
{
    size_t name_size = strlen(name) + 1;
    u64 at = (u64)(uintptr_t)rx;
    struct load l = {.id = RECORD_LOAD,
                     .size = (u32)(sizeof(l) + name_size + size),
                     .time = now(),
                     .pid = (u32)getpid(),
                     .tid = (u32)syscall(SYS_gettid),
                     .vma = at,
                     .addr = at,
                     .code_size = size,
                     .index = p->index++};
    struct iovec v[] = {
        {&l, sizeof(l)}, {(void *)(uintptr_t)name, name_size}, {(void *)(uintptr_t)code, size}};
    /* A disk that is full ends the file in the middle of a record, which readers stop at. */
    if (writev(p->fd, v, 3) < 0)
        p->add = NULL;
}

struct perf_file *jitdump_open(struct error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/tmp/jit-%d.dump", (int)getpid());
    struct perf_file *p = calloc(1, sizeof(*p));
    if (!p) {
        fail(err, ST_NOMEM, "out of memory");
        return NULL;
    }
    unlink(path);
    p->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct header h = {.magic = MAGIC,
                       .version = VERSION,
                       .size = sizeof(h),
                       .machine = EM_X86_64,
                       .pid = (u32)getpid(),
                       .time = now()};
    if (p->fd < 0 || write(p->fd, &h, sizeof(h)) != sizeof(h)) {
        fail(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
        if (p->fd >= 0)
            close(p->fd);
        free(p);
        return NULL;
    }
    p->marker_size = (size_t)sysconf(_SC_PAGESIZE);
    p->marker = mmap(NULL, p->marker_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, p->fd, 0);
    if (p->marker == MAP_FAILED) /* /tmp without execution: perf will not find the file */
        p->marker = NULL;
    p->add = add;
    return p;
}
