#include "client/libvirt/hook-run.h"

static volatile int depth;

/* In place of what a hook does: something that its stack is too small for. */
int
dlk_hook_run(const char *operation, const char *name)
{
    volatile char frame[4096] = {0};

    return depth++ < 0 ? 0 : dlk_hook_run(operation, name) + frame[0];
}
