/*
 * machine/engine.c - see engine_priv.h. The only place that knows whether bt/ was built.
 */
#include "machine/engine_priv.h"
#include "pv/trv.h"

#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif

#include <stdlib.h>
#include <string.h>

static const struct engine {
    const char *name;
    bool generic, bt, helpers, unlinked;
    u32 heat, block_max;
    u64 cache_size;
} engines[] = {
#ifdef TRV_HAVE_BT
    {"bt", .bt = true},
#endif
    {"interp"},
    /* for tests */
    {"generic", .generic = true},
    {"interp-stress", .block_max = 1},
#ifdef TRV_HAVE_BT
    {"bt-hot", .bt = true, .heat = 1},
    {"bt-helpers", .bt = true, .helpers = true, .heat = 1},
    {"bt-stress", .bt = true, .unlinked = true, .heat = 1, .block_max = 1, .cache_size = 256 * KIB},
#endif
};

#ifdef TRV_HAVE_BT
#define LIST "bt, interp; for tests: generic, interp-stress, bt-hot, bt-helpers, bt-stress"
#else
#define LIST "interp; for tests: generic, interp-stress"
#endif

/* A name and what follows it, "bt,cache=8M,perfmap=on". */
struct spec {
    const struct engine *e;
    u64 cache_size;
    bool perfmap, jitdump;
};

static size_t name_length(const char *spec)
{
    return strcspn(spec, ",");
}

static const struct engine *find(const char *spec)
{
    for (size_t k = 0; k < ARRAY_LEN(engines); k++)
        if (!spec || (strlen(engines[k].name) == name_length(spec) &&
                      !memcmp(engines[k].name, spec, name_length(spec))))
            return &engines[k];
    return NULL;
}

/* "64K", "8M", "1G", or bytes. */
static bool size_of(const char *s, size_t n, u64 *out)
{
    static const char units[] = "KMG";
    u64 v = 0;
    size_t k = 0;
    for (; k < n && k < 12 && s[k] >= '0' && s[k] <= '9'; k++)
        v = v * 10 + (u64)(s[k] - '0');
    if (k == 0)
        return false;
    if (k < n) {
        const char *u = strchr(units, s[k] & ~0x20);
        if (!u || !*u || k + 1 != n)
            return false;
        v <<= 10 * (u - units + 1);
    }
    *out = v;
    return true;
}

/* One "key=value" of n bytes. */
static enum status take(struct spec *s, const char *p, size_t n, struct error *err)
{
    const char *eq = memchr(p, '=', n);
    size_t key = eq ? (size_t)(eq - p) : n;
    size_t len = eq ? n - key - 1 : 0;
    const char *v = eq ? eq + 1 : "";
#ifdef TRV_HAVE_BT
    if (s->e->bt && key == 5 && !memcmp(p, "cache", 5)) {
        if (!size_of(v, len, &s->cache_size))
            return fail(err, ST_INVAL, "engine %s: '%.*s' is no size (256K, 32M and 1G are)",
                        s->e->name, (int)len, v);
        if (s->cache_size < BT_CACHE_MIN || s->cache_size > BT_CACHE_MAX)
            return fail(err, ST_RANGE, "engine %s: cache=%.*s: 256K to 1G", s->e->name, (int)len,
                        v);
        if (s->cache_size & ~PAGE_MASK)
            return fail(err, ST_INVAL, "engine %s: cache=%.*s: no multiple of 4K", s->e->name,
                        (int)len, v);
        return ST_OK;
    }
    bool *flag = key == 7 && !memcmp(p, "perfmap", 7)   ? &s->perfmap
                 : key == 7 && !memcmp(p, "jitdump", 7) ? &s->jitdump
                                                        : NULL;
    if (s->e->bt && flag) {
        *flag = len == 2 && !memcmp(v, "on", 2);
        if (*flag || (len == 3 && !memcmp(v, "off", 3)))
            return ST_OK;
        return fail(err, ST_INVAL, "engine %s: %.*s wants on or off", s->e->name, (int)key, p);
    }
    if (s->e->bt)
        return fail(err, ST_INVAL, "engine %s: no property '%.*s' (cache, perfmap, jitdump are)",
                    s->e->name, (int)key, p);
#else
    (void)size_of;
    (void)v;
    (void)len;
#endif
    return fail(err, ST_INVAL, "engine %s: no property '%.*s': it has none", s->e->name, (int)key,
                p);
}

static enum status parse(const char *text, struct spec *s, struct error *err)
{
    *s = (struct spec){.e = find(text)};
    if (!s->e) {
        int n = (int)name_length(text);
#ifndef TRV_HAVE_BT
        if (!memcmp(text, "bt", MIN((size_t)n, (size_t)2)) && (n == 2 || (n > 2 && text[2] == '-')))
            return fail(err, ST_UNSUP,
                        "engine '%.*s': this build has no translator (made with -Dbt=false)", n,
                        text);
#endif
        return fail(err, ST_INVAL, "unknown engine '%.*s' (available: %s)", n, text, LIST);
    }
    const char *p = text ? text + name_length(text) : "";
    enum status st = ST_OK;
    while (st == ST_OK && *p) {
        size_t n = strcspn(++p, ",");
        st = take(s, p, n, err);
        p += n;
    }
    return st;
}

enum status engine_check(const char *spec, struct error *err)
{
    struct spec s;
    return parse(spec, &s, err);
}

const char *const *engine_names(void)
{
    static const char *const names[] = {
#ifdef TRV_HAVE_BT
        "bt",
#endif
        "interp", "generic",    "interp-stress",
#ifdef TRV_HAVE_BT
        "bt-hot", "bt-helpers", "bt-stress",
#endif
        NULL,
    };
    return names;
}

const char *engine_list(void)
{
    return LIST;
}

u32 engine_trv_id(const char *spec)
{
    const struct engine *e = find(spec);
    return e && e->bt ? TRV_ENGINE_BT : TRV_ENGINE_INTERP;
}

enum status engine_attach(struct cpu *cpu, const char *spec, struct error *err)
{
    struct spec s;
    enum status st = parse(spec, &s, err);
    if (st != ST_OK)
        return st;
    cpu->plain = s.e->generic;
    cpu->block_max = s.e->block_max;
#ifdef TRV_HAVE_BT
    struct bt_config c = {.heat = s.e->heat,
                          .helpers = s.e->helpers,
                          .unlinked = s.e->unlinked,
                          .cache_size = s.cache_size ? s.cache_size : s.e->cache_size,
                          .perfmap = s.perfmap,
                          .jitdump = s.jitdump};
    if (s.e->bt)
        return bt_attach(cpu, &c, err);
#endif
    return ST_OK;
}

void engine_detach(struct cpu *cpu)
{
#ifdef TRV_HAVE_BT
    if (cpu)
        bt_detach(cpu);
#endif
}

bool engine_forked(struct cpu *cpu)
{
#ifdef TRV_HAVE_BT
    if (!bt_forked(cpu))
        return false;
#endif
    return cpu_forked(cpu);
}
