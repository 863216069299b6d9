#pragma once

#include "model/table.h"

/* A table and everything that the test has put into it. */
typedef struct {
    DlkTable *table;
    DlkRule *rule;
    GHashTable *leases; /* set, referenced */
    guint64 last_token;
    uid_t uid; /* of the leases that are made next */
} TableFixture;

static inline void
table_set_up(TableFixture *self, gconstpointer data)
{
    self->table = dlk_table_new();
    self->rule = dlk_rule_new("test");
    self->leases = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)dlk_lease_unref, NULL);
}

static inline void
table_remove(TableFixture *self, DlkLease *lease)
{
    dlk_table_remove(self->table, lease);
    g_hash_table_remove(self->leases, lease);
}

static inline void
table_tear_down(TableFixture *self, gconstpointer data)
{
    GHashTableIter iter;
    gpointer lease;

    g_hash_table_iter_init(&iter, self->leases);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        dlk_table_remove(self->table, lease);
    g_hash_table_unref(self->leases);
    dlk_rule_unref(self->rule);
    dlk_table_free(self->table); /* asserts that it is empty */
}

/* "sda1<sda": the disk sda1, which is a part of sda. */
static inline DlkDisk *
table_disk(const char *description)
{
    g_auto(GStrv) ids = g_strsplit(description, "<", -1);
    DlkDisk *disk = dlk_disk_new(DLK_KIND_BLOCK, ids[0]);

    if (ids[1])
        disk->ancestors = g_strdupv(ids + 1);
    return disk;
}

static inline DlkLease *
table_new_lease(TableFixture *self, const char *description, DlkMode mode)
{
    g_autoptr(DlkDisk) disk = table_disk(description);
    DlkLease *lease = dlk_lease_new(disk, self->rule, mode);

    lease->uid = self->uid;
    return lease;
}

static inline void
table_set_rule(DlkLease *lease, DlkRule *rule)
{
    dlk_rule_unref(lease->rule);
    lease->rule = dlk_rule_ref(rule);
}

/* Borrowed. */
static inline DlkLease *
table_insert(TableFixture *self, const char *description, DlkMode mode, DlkPhase phase)
{
    DlkLease *lease = table_new_lease(self, description, mode);

    g_hash_table_add(self->leases, lease);
    dlk_table_insert(self->table, lease, phase);
    return lease;
}

static inline void
table_grant(TableFixture *self, DlkLease *lease)
{
    lease->token = ++self->last_token;
    dlk_table_set_phase(self->table, lease, DLK_PHASE_HELD);
}

/* Borrowed. */
static inline DlkLease *
table_hold(TableFixture *self, const char *description, DlkMode mode)
{
    DlkLease *lease = table_insert(self, description, mode, DLK_PHASE_LOCKING);

    table_grant(self, lease);
    return lease;
}

/* Is @expected (%NULL: nobody) in the way of a new request? */
static inline void
table_assert_conflict(TableFixture *self, const char *description, DlkMode mode, const DlkLease *expected)
{
    g_autoptr(DlkLease) probe = table_new_lease(self, description, mode);

    g_assert_true(dlk_table_conflict(self->table, probe) == expected);
}
