/*
 * tests/system/vsock_guest.c - a program for the guest: AF_VSOCK streams, as socat would.
 *
 *   vsock_guest connect PORT   stdin to the host's port, what comes back to stdout
 *   vsock_guest echo PORT      one connection to the guest's port, sent back as it comes
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int copy(int from, int to)
{
    static char buf[65536];
    ssize_t n, m;
    while ((n = read(from, buf, sizeof(buf))) > 0)
        for (ssize_t at = 0; at < n; at += m)
            if ((m = write(to, buf + at, (size_t)(n - at))) <= 0)
                return 1;
    return n < 0;
}

int main(int argc, char **argv)
{
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0), status;
    if (argc != 3 || fd < 0)
        return 2;
    struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_port = (unsigned)atoi(argv[2])};
    if (!strcmp(argv[1], "connect")) {
        a.svm_cid = VMADDR_CID_HOST;
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            return 3;
        status = copy(0, fd);
        shutdown(fd, SHUT_WR);
        return status ? status : copy(fd, 1);
    }
    a.svm_cid = VMADDR_CID_ANY;
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
        return 3;
    printf("listens at %s\n", argv[2]);
    fflush(stdout);
    int c = accept(fd, NULL, NULL);
    return c < 0 ? 4 : copy(c, c);
}
