/*
 * machine/views.c - see views.h.
 */
#include "machine/views.h"
#include "machine/engine_priv.h"
#include "machine/vm_priv.h"
#include "pv/trv.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#ifdef TRV_HAVE_BT
#include "bt/bt.h"
#endif

/* ---- choosing --------------------------------------------------------------------------------
 */
enum status vm_engine_check(const char *spec, struct error *err)
{
    return engine_check(spec, err);
}

static enum status watch_again(struct vm *vm, struct error *err)
{
#ifdef TRV_HAVE_BT
    if (vm->view.watching && vm->cpu->engine)
        return bt_watch(vm->cpu, vm->view.watch, err);
#endif
    return ST_OK;
}

static void attached(struct vm *vm, const char *spec)
{
    vm->block_max = vm->cpu->block_max;
    if (vm->trace)
        trace_engine_changed(vm);
    vm->view.engine = spec;
    if (!vm->cfg.any_engine && vm->trv_pv)
        trv_set_engine(vm->trv_pv, engine_trv_id(spec));
}

enum status vm_set_engine(struct vm *vm, const char *spec, struct error *err)
{
    enum status st = engine_check(spec, err);
    char *own = st == ST_OK ? strdup(spec) : NULL;
    if (st != ST_OK)
        return st;
    if (!own)
        return fail(err, ST_NOMEM, "out of memory");
    engine_detach(vm->cpu);
    cpu_set_tracer(vm->cpu, vm->cpu->tracer); /* also forgets blocks: interp and generic differ */
    st = engine_attach(vm->cpu, own, err);
    if (st == ST_OK)
        st = watch_again(vm, err);
    if (st != ST_OK) {
        struct error none;
        engine_detach(vm->cpu);
        engine_attach(vm->cpu, "interp", &none);
        free(own);
        own = strdup("interp");
    }
    free(vm->view.own);
    vm->view.own = own;
    attached(vm, own);
    return st;
}

const char *vm_engine(const struct vm *vm)
{
    if (vm->view.engine)
        return vm->view.engine;
    return vm->cfg.engine ? vm->cfg.engine : engine_names()[0];
}

void vm_engine_toggle(struct vm *vm)
{
    vm->view.toggle_wanted = 1;
    inbox_wake(vm->inbox);
    cpu_kick(vm->cpu);
}

void views_toggle(struct vm *vm)
{
    const char *usual = vm->cfg.engine ? vm->cfg.engine : engine_names()[0];
    const char *now = vm_engine(vm), *to = "interp";
    struct error err;
    vm->view.toggle_wanted = 0;
    if (!strcmp(now, "interp"))
        to = strcmp(usual, "interp") ? usual : engine_names()[0];
    if (vm_set_engine(vm, to, &err) != ST_OK)
        log_error("%s: the interpreter goes on", err.msg);
    else
        log_info("engine: %s", to);
}

void views_free(struct vm *vm)
{
    free(vm->view.own);
    free(vm->view.marks);
}

/* ---- counters --------------------------------------------------------------------------------
 */
void vm_engine_counts(const struct vm *vm, void (*row)(void *ctx, const struct vm_count *c),
                      void *ctx)
{
#ifdef TRV_HAVE_BT
    struct bt_stats s;
    if (!vm->cpu->engine)
        return;
    bt_stats(vm->cpu, &s);
    const struct vm_count rows[] = {
        {"blocks translated", s.blocks},
        {"insns translated", s.insns},
        {"insns copied", s.how[BT_COPIED]},
        {"insns emitted", s.how[BT_EMITTED]},
        {"insns as C calls", s.how[BT_HELPED]},
        {"insns as events", s.how[BT_EVENT]},
        {"cache bytes", s.cache_size},
        {"cache bytes used", s.code_bytes},
        {"bytes per insn", s.insns_now ? s.code_bytes * 10 / s.insns_now : 0, true},
        {"cache resets", s.resets},
        {"blocks translated again", s.again},
        {"superblocks", s.supers},
        {"loops in strips", s.strips},
        {"links", s.links},
        {"exits C call", s.exits[BT_EXIT_HELPER]},
        {"exits slow memory", s.exits[BT_EXIT_MEMORY]},
        {"exits host fault", s.exits[BT_EXIT_FAULT]},
        {"exits event", s.exits[BT_EXIT_EVENT]},
        {"exits indirect", s.exits[BT_EXIT_INDIRECT]},
        {"exits no vectors", s.exits[BT_EXIT_VECTOR]},
        {"exits vector load", s.exits[BT_EXIT_VEC_ENTER]},
        {"exits edge linked", s.exits[BT_EXIT_LINKED]},
        {"exits edge cold", s.exits[BT_EXIT_COLD]},
        {"exits edge lookup", s.exits[BT_EXIT_UNKNOWN]},
        {"exits slice end", s.exits[BT_EXIT_BUDGET]},
        {"exits dead block", s.exits[BT_EXIT_DEAD]},
        {"exits block died", s.exits[BT_EXIT_DIED]},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++)
        row(ctx, &rows[k]);
#endif
}

int vm_engine_helpers(const struct vm *vm, struct vm_helper *out, int n)
{
    int used = 0;
#ifdef TRV_HAVE_BT
    for (u32 r = 0; vm->cpu->engine && r < INSN_COUNT; r++) {
        struct vm_helper h = {.name = insn_rows[r].name};
        bt_helper_row(vm->cpu, r, &h.translated, &h.called);
        if (!h.called && !h.translated)
            continue;
        int at = MIN(used, n);
        while (at > 0 && (out[at - 1].called < h.called || (out[at - 1].called == h.called &&
                                                            out[at - 1].translated < h.translated)))
            at--;
        if (at >= n)
            continue;
        used = MIN(used + 1, n);
        memmove(out + at + 1, out + at, (size_t)(used - at - 1) * sizeof(*out));
        out[at] = h;
    }
#endif
    return used;
}

/* ---- one block -------------------------------------------------------------------------------
 */
enum status vm_watch_block(struct vm *vm, gla lin, struct error *err)
{
    vm->view.watching = true;
    vm->view.watch = lin;
    return watch_again(vm, err);
}

bool vm_watched_block(struct vm *vm, struct vm_block_view *out)
{
#ifdef TRV_HAVE_BT
    static const enum vm_part part[] = {[BT_PART_ENTRY] = VM_PART_ENTRY,
                                        [BT_PART_INSN] = VM_PART_INSN,
                                        [BT_PART_COLD] = VM_PART_COLD,
                                        [BT_PART_EDGE] = VM_PART_EDGE};
    struct bt_view v;
    if (!vm->cpu->engine || !bt_watched(vm->cpu, &v))
        return false;
    free(vm->view.marks);
    vm->view.marks = calloc(v.n_marks + 1, sizeof(*vm->view.marks));
    if (!vm->view.marks)
        return false;
    for (u32 k = 0; k < v.n_marks; k++)
        vm->view.marks[k] = (struct vm_block_mark){v.marks[k].at, v.marks[k].insn,
                                                   part[v.marks[k].part], v.marks[k].lin};
    *out = (struct vm_block_view){.lin = v.lin,
                                  .guest_lin = v.guest_lin,
                                  .bits = (v.key & KEY_DMODE) == KEY_64   ? 64
                                          : (v.key & KEY_DMODE) == KEY_32 ? 32
                                                                          : 16,
                                  .user = v.key & KEY_USER,
                                  .insns = v.n,
                                  .times = v.times,
                                  .host = v.host,
                                  .guest = v.guest,
                                  .code = v.code,
                                  .guest_bytes = v.guest_bytes,
                                  .code_bytes = v.code_bytes,
                                  .n_marks = v.n_marks,
                                  .marks = vm->view.marks};
    return true;
#else
    return false;
#endif
}
