/*
 * frontends/speed.c - the words of -speed.
 */
#include "frontends/cli_priv.h"

#include <stdlib.h>
#include <string.h>

/* Digits with at most six after a point, in millionths. */
static bool parse_millionths(const char *text, size_t len, u64 *out)
{
    u64 whole = 0, scale = 1000000;
    bool digits = false, point = false;
    for (size_t k = 0; k < len; k++) {
        if (text[k] == '.' && !point) {
            point = true;
            continue;
        }
        if (text[k] < '0' || text[k] > '9' || whole > 1000000000000ull || scale == 1)
            return false;
        digits = true;
        whole = whole * 10 + (u64)(text[k] - '0');
        scale /= point ? 10 : 1;
    }
    *out = whole * scale;
    return digits;
}

enum status speed_parse(const char *text, struct vm_speed *out, struct error *err)
{
    size_t len = strlen(text);
    bool percent = len && text[len - 1] == '%';
    u64 v;
    *out = (struct vm_speed){0};
    if (!strcmp(text, "max"))
        return ST_OK;
    if (!parse_millionths(text, len - percent, &v))
        return fail(err, ST_INVAL,
                    "'%s': wants millions of instructions a second (8, 0.5), a percentage of the "
                    "host's time (50%%) or max",
                    text);
    if (percent ? v % 1000000 || v < 1000000 || v > 100000000
                : v < VM_SPEED_MIN || v > VM_SPEED_MAX)
        return fail(err, ST_RANGE,
                    percent ? "'%s': 1%% to 100%%, without a fraction"
                            : "'%s': 0.01 to 100000 million instructions a second",
                    text);
    if (percent)
        out->percent = (u32)(v / 1000000);
    else
        out->insns_per_sec = v;
    return ST_OK;
}
