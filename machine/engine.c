/*
 * machine/engine.c - see engine_priv.h. The only place that knows whether bt/ was built.
 */
#include "machine/engine_priv.h"
#include "pv/trv.h"

#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif

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

static const struct engine *find(const char *name)
{
    for (size_t k = 0; k < ARRAY_LEN(engines); k++)
        if (!name || !strcmp(engines[k].name, name))
            return &engines[k];
    return NULL;
}

bool engine_known(const char *name)
{
    return find(name) != NULL;
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

u32 engine_trv_id(const char *name)
{
    const struct engine *e = find(name);
    return e && e->bt ? TRV_ENGINE_BT : TRV_ENGINE_INTERP;
}

enum status engine_attach(struct cpu *cpu, const char *name, struct error *err)
{
    const struct engine *e = find(name);
    if (!e)
        return fail(err, ST_INVAL, "unknown engine '%s' (available: %s)", name, LIST);
    cpu->plain = e->generic;
    cpu->block_max = e->block_max;
#ifdef TRV_HAVE_BT
    struct bt_config c = {.heat = e->heat,
                          .helpers = e->helpers,
                          .unlinked = e->unlinked,
                          .cache_size = e->cache_size};
    if (e->bt)
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
