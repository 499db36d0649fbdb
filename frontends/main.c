/*
 * frontends/main.c - the `trivisor` command: which subcommand.
 */
#include "frontends/cli_priv.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", cmd_run, "run a virtual machine"},
    {"check", cmd_check, "run recorded instruction vectors against an engine"},
    {"record", cmd_record, "record instruction vectors from the host's processor"},
    {"trace", cmd_trace, "write down every instruction of a run; show, stat, diff read it"},
    {"lockstep", cmd_lockstep, "run two engines side by side and find the first difference"},
    {"profile", cmd_profile, "run a machine and show where its instructions are spent"},
    {"compare", cmd_compare, "the same guest work emulated, translated and paravirtualized"},
    {"snapshot", cmd_snapshot, "what is in files of savevm, and whether they are whole"},
    {"help", cmd_help, "this text; 'help run' lists the options of run"},
    {"version", cmd_version, "the version"},
};

static const struct command *find(const char *name)
{
    for (size_t k = 0; k < ARRAY_LEN(commands); k++)
        if (!strcmp(commands[k].name, name))
            return &commands[k];
    return NULL;
}

static void usage(FILE *f)
{
    fprintf(f, "usage: trivisor COMMAND [options]\n"
               "An x86 virtual machine for hosts without hardware virtualization.\n\nCommands\n");
    for (size_t k = 0; k < ARRAY_LEN(commands); k++)
        fprintf(f, "  %-10s %s\n", commands[k].name, commands[k].help);
    fprintf(f, "\nFor example\n"
               "  trivisor run -nographic -m 512 -hda disk.img\n"
               "  trivisor run -nographic -kernel vmlinuz -initrd initrd.img "
               "-append console=ttyS0\n");
}

static int unknown(const char *name)
{
    const char *names[ARRAY_LEN(commands) + 1] = {NULL};
    for (size_t k = 0; k < ARRAY_LEN(commands); k++)
        names[k] = commands[k].name;
    const char *near = nearest(name, names);
    if (near)
        log_error("unknown command '%s' (did you mean '%s'?)", name, near);
    else if (name[0] == '-')
        log_error("'%s' is no command; options follow one, as in 'trivisor run %s'", name, name);
    else
        log_error("unknown command '%s' ('trivisor help' lists them)", name);
    return STATUS_USAGE;
}

static int cmd_help(int argc, char **argv)
{
    if (argc < 1)
        usage(stdout);
    else if (!strcmp(argv[0], "run"))
        options_help(stdout);
    else if (!strcmp(argv[0], "check"))
        check_help(stdout);
    else if (!strcmp(argv[0], "record"))
        record_help(stdout);
    else if (!strcmp(argv[0], "trace"))
        return cmd_trace(1, (char *[]){(char *)"--help"});
    else if (!strcmp(argv[0], "lockstep"))
        lockstep_help(stdout);
    else if (!strcmp(argv[0], "compare"))
        compare_help(stdout);
    else if (!strcmp(argv[0], "profile"))
        return cmd_profile(1, (char *[]){(char *)"--help"});
    else if (!strcmp(argv[0], "snapshot"))
        snapshot_help(stdout);
    else if (find(argv[0]))
        usage(stdout);
    else
        return unknown(argv[0]);
    return 0;
}

static int cmd_version(int argc, char **argv)
{
    printf("trivisor %s\n", TRIVISOR_VERSION);
    return 0;
}

/* Without them the first image we open would become somebody's standard output. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(STATUS_HOST);
}

int main(int argc, char **argv)
{
    open_standard_files();
    if (argc < 2) {
        usage(stderr);
        return STATUS_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "-h") || !strcmp(name, "--help") || !strcmp(name, "-help"))
        name = "help";
    if (!strcmp(name, "-v") || !strcmp(name, "--version") || !strcmp(name, "-version"))
        name = "version";
    const struct command *c = find(name);
    return c ? c->run(argc - 2, argv + 2) : unknown(name);
}
