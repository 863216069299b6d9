#pragma once

#include "model/on-break.h"
#include "model/policy.h"

#include <glib.h>

typedef enum {
    DLK_LIFETIME_PERSISTENT, /* until Release */
    DLK_LIFETIME_PROCESS,    /* until the process ends */
    DLK_LIFETIME_CONNECTION, /* until the caller leaves the bus */
    DLK_LIFETIME_FD,         /* until every copy of the keep descriptor is closed */
    DLK_N_LIFETIMES
} DlkLifetime;

gboolean dlk_lifetime_from_string(const char *text, DlkLifetime *lifetime, GError **error);
const char *dlk_lifetime_to_string(DlkLifetime lifetime);

/** DlkOptions: the a{sv} of the Acquire family, checked. What was not given is %NULL, 0 or -1. */
typedef struct {
    char *owner;
    char *owner_uuid;
    char *why;
    DlkLifetime lifetime;
    gboolean lifetime_given;
    guint32 pid;        /* 0: not given */
    gint32 pidfd_index; /* index into the message's descriptors; -1: not given */
    guint32 wait_ms;
    char *backend;
    DlkOnBreak on_break;
    gboolean on_break_given;
    gboolean backing_files; /* with what else the images' headers name; AcquireSet alone */
    gboolean adopt;         /* leases that the owner has already are taken on, see core/acquire-adopt.c */
} DlkOptions;

/**
 * dlk_options_parse: @dictionary is a{sv}. DLK_ERROR_INVALID_ARGS names the key for an unknown key, a wrong
 * type, an empty, overlong or unclean string, or keys that exclude each other (pid and pidfd).
 */
DlkOptions *dlk_options_parse(GVariant *dictionary, const DlkLimits *limits, GError **error);
void dlk_options_free(DlkOptions *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkOptions, dlk_options_free)
