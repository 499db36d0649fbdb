/*
 * killed_guest.c - process 1 of a guest that is going to be killed: records, each made durable.
 *
 * What it is: loads the modules of its initramfs, mounts each disk that it is given as an argument,
 * and on each appends records to a file, syncs it and only then says so on the console: "vda 17".
 * Between them files are made, renamed and removed, so that the journal has work. What it is not: a
 * test by itself; cases_disk.py holds the image against what was said.
 *
 * Invariants: record n (from 1) is 64 bytes at offset 64 * (n - 1), and depends on n alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORD = 64, ENOUGH = 20000 };

static void die(const char *what)
{
    fprintf(stderr, "guest: %s: %m\n", what);
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void load_modules(void)
{
    glob_t g;

    if (glob("/modules/*.ko", 0, NULL, &g))
        die("no modules");
    for (size_t n = 0; n < g.gl_pathc; n++) {
        int fd = open(g.gl_pathv[n], O_RDONLY);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            die(g.gl_pathv[n]);
        close(fd);
    }
    globfree(&g);
}

static void write_all(int fd, const char *data, size_t size)
{
    if (write(fd, data, size) != (ssize_t)size)
        die("write");
}

static void churn(const char *dir, unsigned n)
{
    char from[64], to[64], block[3000];
    int fd;

    snprintf(from, sizeof(from), "%s/new", dir);
    snprintf(to, sizeof(to), "%s/f%u", dir, n % 7);
    memset(block, 'a' + n % 26, sizeof(block));
    fd = open(from, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        die(from);
    for (unsigned k = 0; k < n % 5; k++)
        write_all(fd, block, sizeof(block));
    close(fd);
    if (rename(from, to) < 0 || (n % 3 == 0 && unlink(to) < 0))
        die(to);
}

static void use(const char *disk)
{
    char device[32], dir[32], path[48], line[RECORD + 1];
    struct stat st;
    int fd;

    snprintf(device, sizeof(device), "/dev/%s", disk);
    snprintf(dir, sizeof(dir), "/%s", disk);
    snprintf(path, sizeof(path), "/%s/log", disk);
    mkdir(dir, 0700);
    for (int n = 0; access(device, F_OK) && n < 600; n++)
        usleep(50000);
    if (mount(device, dir, "ext4", 0, NULL) < 0)
        die(device);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    for (unsigned n = (unsigned)(st.st_size / RECORD) + 1; n < ENOUGH; n++) {
        snprintf(line, sizeof(line), "record %08u, then %041llu\n", n, n * 2654435761ull);
        if (lseek(fd, (off_t)(n - 1) * RECORD, SEEK_SET) < 0)
            die("lseek");
        write_all(fd, line, RECORD);
        if (fsync(fd) < 0)
            die("fsync");
        dprintf(STDOUT_FILENO, "%s %u\n", disk, n);
        churn(dir, n);
    }
}

int main(int argc, char **argv)
{
    mkdir("/dev", 0700);
    if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0)
        die("/dev");
    load_modules();
    for (int n = 1; n < argc; n++) {
        if (fork() == 0) {
            use(argv[n]);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
