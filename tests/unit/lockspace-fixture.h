#pragma once

/* What the tests of the lockspace share: a folder of root's, one disk on the network, and two hosts. */

#include "backend/backends.h"
#include "backend/lock-file.h"
#include "base/error.h"
#include "scratch.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define DISK_ID "network:rbd://mon/pool/image"

typedef struct {
    Scratch scratch;
    DlkRule *rule;
    DlkTarget *target;
    DlkBackend *backend;
    char *lock_file;
} Space;

static inline void
space_set_up(Space *self, gconstpointer data)
{
    scratch_init(&self->scratch);
    self->rule = dlk_rule_new("luns");
    self->rule->lockspace = scratch_folder(&self->scratch, "locks");
    self->rule->reach = DLK_REACH_HOST;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, DISK_ID);
    self->target = dlk_target_new(disk, -1, -1, NULL);
    self->backend = dlk_backends_get("lockspace");
    g_autofree char *name = dlk_lock_file_name(DISK_ID);
    self->lock_file = g_build_filename(self->rule->lockspace, name, NULL);
}

static inline void
space_tear_down(Space *self, gconstpointer data)
{
    dlk_rule_unref(self->rule);
    dlk_target_unref(self->target);
    g_free(self->lock_file);
    scratch_clear(&self->scratch);
}

/* As a host of that name takes a lease for a machine. */
static inline DlkHold *
space_try(Space *self, const char *host, const char *owner, DlkMode mode, GError **error)
{
    g_autoptr(DlkHolder) holder = dlk_holder_new(mode);
    holder->host = g_ref_string_new(host);
    holder->host_name = g_ref_string_new("node7");
    holder->owner = g_ref_string_new(owner);
    holder->since = 1766000000000000;
    dlk_lease_id_random(&holder->lease);
    g_autoptr(DlkHold) hold = dlk_hold_new(self->backend, self->target, mode, self->rule->strict_readers, 0);
    dlk_hold_set_holder(hold, holder);
    return dlk_backend_acquire(self->backend, hold, self->rule, error) ? g_steal_pointer(&hold) : NULL;
}

static inline DlkHold *
space_take(Space *self, const char *host, const char *owner, DlkMode mode)
{
    g_autoptr(GError) error = NULL;
    DlkHold *hold = space_try(self, host, owner, mode, &error);
    g_assert_no_error(error);
    g_assert_nonnull(hold);
    return hold;
}

static inline void
space_give_back(DlkHold *hold)
{
    g_autoptr(GError) error = NULL;
    dlk_backend_release(hold->backend, hold, &error);
    g_assert_no_error(error);
}

/* Such an acquisition fails, with a message that has @text in it. */
static inline void
space_assert_refused(Space *self, DlkMode mode, DlkError code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(space_try(self, "beta", "web02", mode, &error));
    g_assert_error(error, DLK_ERROR, (gint)code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, text));
}

static inline void
space_assert_check(DlkHold *hold, DlkCheck expected, const char *expected_reason)
{
    g_autofree char *reason = NULL;
    g_assert_cmpint((gint)dlk_backend_check(hold->backend, hold, &reason), ==, (gint)expected);
    g_assert_cmpstr(reason, ==, expected_reason);
}

/* Who has it, as a host reads it; of DlkHolder. */
static inline GPtrArray *
space_holders(Space *self)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    dlk_backend_holders(self->backend, self->target, self->rule, holders, &error);
    g_assert_no_error(error);
    return holders;
}
