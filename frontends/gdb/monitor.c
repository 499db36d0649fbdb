/*
 * frontends/gdb/monitor.c - what gdb's `monitor` command can ask of the machine.
 */
#include "frontends/display/shot.h"
#include "frontends/gdb/gdb_priv.h"
#include "frontends/save.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Output that gdb shows at once. */
static void say(struct gdb *g, const char *text)
{
    g->reply.n = 0;
    g->reply.full = false;
    gdb_puts(&g->reply, "O");
    gdb_put_hex(&g->reply, text, strlen(text));
    gdb_send(g);
}

static bool number(const char *s, u64 *v)
{
    const char *end = s;
    if (end[0] == '0' && (end[1] | 0x20) == 'x')
        end += 2;
    return gdb_take_hex(&end, v) && !*end;
}

static void cmd_help(struct gdb *g, const char *arg)
{
    say(g, "help                  this list\n"
           "info registers        all registers, with the hidden parts of segments\n"
           "physical [on|off]     whether memory and new breakpoints are physical\n"
           "translate ADDR        physical address of a linear one (hexadecimal)\n"
           "msr NUMBER            a model-specific register (hexadecimal)\n"
           "screendump FILE       the screen as PNG or .ppm\n"
           "savevm FILE           the whole machine into a file\n"
           "loadvm FILE           and back; then: maintenance flush register-cache\n"
           "reset                 the machine's reset; then: maintenance flush register-cache\n"
           "quit                  end the machine\n");
}

static void cmd_info(struct gdb *g, const char *arg)
{
    char text[8192 / 2];
    if (strcmp(arg, "registers")) {
        say(g, "info: knows registers\n");
        return;
    }
    vm_dump_cpu(g->vm, text, sizeof(text));
    say(g, text);
}

static void cmd_physical(struct gdb *g, const char *arg)
{
    if (!strcmp(arg, "on"))
        g->physical = true;
    else if (!strcmp(arg, "off"))
        g->physical = false;
    else if (*arg)
        say(g, "physical: on or off\n");
    say(g, g->physical ? "memory addresses are physical\n" : "memory addresses are linear\n");
}

static void cmd_translate(struct gdb *g, const char *arg)
{
    char text[96];
    u64 at, phys;
    if (!number(arg, &at))
        snprintf(text, sizeof(text), "translate: wants a hexadecimal address\n");
    else if (!vm_debug_translate(g->vm, 0, at, &phys))
        snprintf(text, sizeof(text), "%" PRIx64 " is not mapped\n", at);
    else
        snprintf(text, sizeof(text), "%" PRIx64 " -> %" PRIx64 "\n", at, phys);
    say(g, text);
}

static void cmd_msr(struct gdb *g, const char *arg)
{
    char text[96];
    u64 n, v;
    if (!number(arg, &n) || n >> 32)
        snprintf(text, sizeof(text), "msr: wants a hexadecimal number\n");
    else if (!vm_debug_read_msr(g->vm, 0, (u32)n, &v))
        snprintf(text, sizeof(text), "%" PRIx64 ": no such register\n", n);
    else
        snprintf(text, sizeof(text), "%" PRIx64 " = %016" PRIx64 "\n", n, v);
    say(g, text);
}

static void cmd_screendump(struct gdb *g, const char *arg)
{
    struct error err;
    if (shot_take(g->vm, arg, &err) != ST_OK) {
        say(g, err.msg);
        say(g, "\n");
    }
}

static void cmd_savevm(struct gdb *g, const char *arg)
{
    struct error err;
    enum status st = *arg ? save_with_picture(g->vm, arg, "", &err)
                          : fail(&err, ST_INVAL, "savevm wants a file");
    if (st != ST_OK) {
        say(g, err.msg);
        say(g, "\n");
    }
}

static void cmd_loadvm(struct gdb *g, const char *arg)
{
    struct error err;
    enum status st = *arg ? loadvm(g->vm, arg, &err) : fail(&err, ST_INVAL, "loadvm wants a file");
    if (st != ST_OK) {
        say(g, err.msg);
        say(g, "\n");
    }
}

static void cmd_reset(struct gdb *g, const char *arg)
{
    struct error err;
    if (vm_debug_reset(g->vm, &err) != ST_OK)
        say(g, err.msg);
}

static void cmd_quit(struct gdb *g, const char *arg)
{
    g->killed = true;
}

void gdb_monitor(struct gdb *g, const char *command)
{
    static const struct {
        const char *name;
        void (*run)(struct gdb *g, const char *arg);
    } commands[] = {
        {"help", cmd_help},           {"info", cmd_info},     {"physical", cmd_physical},
        {"translate", cmd_translate}, {"msr", cmd_msr},       {"reset", cmd_reset},
        {"system_reset", cmd_reset},  {"quit", cmd_quit},     {"screendump", cmd_screendump},
        {"savevm", cmd_savevm},       {"loadvm", cmd_loadvm},
    };
    char text[256];
    size_t n = strlen(command), word;
    while (n && isspace((u8)command[n - 1]))
        n--;
    if (n >= sizeof(text)) {
        say(g, "no command is that long\n");
        return;
    }
    memcpy(text, command, n);
    text[n] = 0;
    word = strcspn(text, " \t");
    for (size_t k = 0; k < ARRAY_LEN(commands); k++) {
        if (strlen(commands[k].name) == word && !memcmp(text, commands[k].name, word)) {
            commands[k].run(g, text + word + strspn(text + word, " \t"));
            return;
        }
    }
    say(g, "no such command ('monitor help' lists them)\n");
}
