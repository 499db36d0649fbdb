/*
 * frontends/audio/cards.c - the -sound option: which cards, with which jumpers.
 */
#include "frontends/audio/audio.h"
#include "frontends/cli_priv.h"

#include <stdlib.h>
#include <string.h>

static enum status take_key(struct vm_sound *s, const char *key, const char *value,
                            struct error *err)
{
    static const char *const keys[] = {"iobase", "mpu", "irq", "dma", "hdma", NULL};
    u64 n;
    for (int k = 0; keys[k]; k++) {
        if (strcmp(keys[k], key))
            continue;
        if (!value || !parse_number(value, 0x3ff, &n))
            return fail(err, ST_INVAL, "%s wants a number", key);
        if (k < 2) {
            *(k ? &s->mpu : &s->base) = (u16)n;
            return ST_OK;
        }
        if (n > 255)
            n = 255; /* which no card has */
        *(k == 2 ? &s->irq : k == 3 ? &s->dma : &s->dma16) = (u8)n;
        return ST_OK;
    }
    const char *near = nearest(key, keys);
    if (near)
        return fail(err, ST_INVAL, "sb16 has no key '%s' (did you mean '%s'?)", key, near);
    return fail(err, ST_INVAL, "sb16 has no key '%s' (iobase, mpu, irq, dma, hdma)", key);
}

enum status sound_parse(const char *text, struct vm_sound *s, struct error *err)
{
    static const char *const cards[] = {"sb16", "ac97", NULL};
    char *copy = strdup(text), *list = copy, *key, *value;
    enum status st = ST_OK;
    if (!copy)
        return fail(err, ST_NOMEM, "out of memory");
    if (!next_pair(&list, &key, &value))
        key = value = copy;
    if (!strcmp(key, "sb16") && !value) {
        s->sb16 = true;
        while (!st && next_pair(&list, &key, &value))
            st = take_key(s, key, value, err);
    } else if (!strcmp(key, "ac97") && !value) {
        s->ac97 = true;
        if (next_pair(&list, &key, &value))
            st = fail(err, ST_INVAL, "ac97 has no keys");
    } else {
        const char *near = nearest(key, cards);
        st = near ? fail(err, ST_INVAL, "no sound card '%s' (did you mean '%s'?)", key, near)
                  : fail(err, ST_INVAL, "no sound card '%s': wants sb16[,KEYS] or ac97", key);
    }
    free(copy);
    return st;
}
