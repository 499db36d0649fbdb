/*
 * frontends/text.c - reading what people type: numbers, sizes, lists, and near misses.
 */
#include "frontends/cli_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Edits (insert, delete, replace, swap neighbours) from a to b; words here are short. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    int d[MAX + 1][MAX + 1];
    int n = (int)strnlen(a, MAX), m = (int)strnlen(b, MAX);

    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (tolower((u8)a[i - 1]) != tolower((u8)b[j - 1]));
            best = MIN(best, d[i - 1][j] + 1);
            best = MIN(best, d[i][j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *nearest(const char *word, const char *const *list)
{
    const char *best = NULL;
    int best_d = 1 + (int)MIN(strlen(word), 9) / 3;
    for (; *list; list++) {
        int d = distance(word, *list);
        if (d < (int)strlen(*list) && d <= best_d && (!best || d < best_d)) {
            best = *list;
            best_d = d;
        }
    }
    return best;
}

bool parse_number(const char *text, u64 max, u64 *out)
{
    char *end;
    if (!isdigit((u8)*text))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
    if (errno || *end || v > max)
        return false;
    *out = v;
    return true;
}

bool parse_size(const char *text, u64 unit, u64 *out)
{
    char digits[24];
    size_t n = strlen(text);
    if (!n || n >= sizeof(digits))
        return false;
    memcpy(digits, text, n + 1);
    switch (digits[n - 1] | 32) {
    case 'b':
        unit = 1;
        break;
    case 'k':
        unit = KIB;
        break;
    case 'm':
        unit = MIB;
        break;
    case 'g':
        unit = GIB;
        break;
    case 't':
        unit = 1024 * GIB;
        break;
    default:
        n++;
    }
    digits[n - 1] = 0;
    u64 v;
    if (strlen(digits) > 1 && (digits[1] | 32) == 'x') /* 0x1b: is b a digit? Nobody means it */
        return false;
    if (!parse_number(digits, UINT64_MAX / unit, &v))
        return false;
    *out = v * unit;
    return true;
}

bool parse_on_off(const char *text, bool *out)
{
    if (!strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true"))
        *out = true;
    else if (!strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false"))
        *out = false;
    else
        return false;
    return true;
}

bool next_pair(char **list, char **key, char **value)
{
    char *in = *list, *to = *list;
    if (!in || !*in)
        return false;
    *key = to;
    *value = NULL;
    for (; *in; in++) {
        if (*in == ',') {
            if (in[1] != ',')
                break;
            in++;
        } else if (*in == '=' && !*value) {
            *to++ = 0;
            *value = to;
            continue;
        }
        *to++ = *in;
    }
    *list = *in ? in + 1 : in;
    *to = 0;
    return true;
}

int which_of(const char *value, const char *const *list)
{
    for (int k = 0; value && list[k]; k++)
        if (!strcmp(value, list[k]))
            return k;
    return -1;
}

static enum status no_key(const char *key, const char *const *known, struct error *err)
{
    const char *near = nearest(key, known);
    char all[256];
    size_t n = 0;
    if (near)
        return fail(err, ST_INVAL, "no key '%s' (did you mean '%s'?)", key, near);
    all[0] = 0;
    for (int k = 0; known[k] && n < sizeof(all); k++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", k ? ", " : "", known[k]);
    return fail(err, ST_INVAL, "no key '%s' (%s)", key, all);
}

enum status parse_words(const char *text, const struct option_words *w, void *to, struct error *err)
{
    char *copy = strdup(text), *list = copy, *key, *value;
    bool first = w->first != NULL;
    enum status st = copy ? ST_OK : fail(err, ST_NOMEM, "out of memory");
    for (; !st && next_pair(&list, &key, &value); first = false) {
        int k = which_of(key, w->known);
        if (first && value)
            value[-1] = '='; /* a name with an equal sign */
        if (first)
            st = w->first(to, key, err);
        else
            st = k < 0 ? no_key(key, w->known, err) : w->key(to, k, value, err);
    }
    free(copy);
    return st;
}

void print_list(const char *heading, const char *const *list)
{
    printf("%s\n", heading);
    for (; list && *list; list++)
        printf("    %s\n", *list);
}
