#pragma once

/**
 * Does for the domain @name what libvirt tells a hook of @operation, one of `prepare`, `release`, `reconnect`
 * and `migrate`; the domain's XML is on standard input. Returns 0, or another exit code, having said why on
 * stderr. This stands in disklock.so, which the hook loads.
 */
typedef int DlkHookRun(const char *operation, const char *name);
#define DLK_HOOK_RUN "dlk_hook_run"
__attribute__((visibility("default"))) DlkHookRun dlk_hook_run;
