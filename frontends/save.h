/*
 * frontends/save.h - snapshots as front ends show them.
 *
 * You are here: `trivisor snapshot`, -loadvm, the monitor and gdb's use these.
 */
#ifndef FRONTENDS_SAVE_H
#define FRONTENDS_SAVE_H

#include "base/status.h"

struct vm;

/* vm_save() with the screen as picture, where there is one. title: "" for none. */
enum status save_with_picture(struct vm *vm, const char *path, const char *title,
                              struct error *err);
/* -loadvm's argument, "FILE[,disks=any]": is it one? */
enum status loadvm_check(const char *arg, struct error *err);
enum status loadvm(struct vm *vm, const char *arg, struct error *err);

/* What the file says of itself, line by line; nothing of it can harm a terminal if the caller
 * replaces control characters. */
enum status snapshot_describe(const char *path, void (*line)(void *ctx, const char *line),
                              void *ctx, struct error *err);

#endif
