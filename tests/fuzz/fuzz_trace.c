/*
 * tests/fuzz/fuzz_trace.c - any bytes as a binary trace.
 */
#include "tests/fuzz/fuzz.h"
#include "frontends/trace/reader.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct trace_reader *r;
    struct trace_item item;
    struct error err;
    enum status st = ST_OK;
    char path[64];
    int fd = memfd_create("fuzz-trace", 0);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (trace_open(path, &r, &err) == ST_OK) {
        for (int k = 0; k < 100000 && trace_next(r, &item, &st, &err); k++)
            MUST(!item.block || item.done <= item.block->n);
        const struct trace_info *info = trace_info(r);
        if (trace_seek(r, info->first + (info->last - info->first) / 2, &err) == ST_OK)
            trace_next(r, &item, &st, &err);
        trace_close(r);
    }
    close(fd);
    return 0;
}
