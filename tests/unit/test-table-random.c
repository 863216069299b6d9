#include "table-fixture.h"

/*
 * The table against a model of it that anybody can see through: a list that is searched from one end to the
 * other. What the two say is compared after every step of a long random walk, always the same one.
 */
#define STEPS 20000
#define SEED 4711
#define N_UIDS 3

static const char *const disks[] = {
    "sda", "sda1<sda", "sda2<sda", "dm0<sda1<sda", "dm1<sda2<sda<sdb", "sdb", "sdb1<sdb", "a", "b", "c",
};

typedef struct {
    TableFixture table;
    GRand *random;
    DlkRule *strict;
    GPtrArray *leases; /* in the order in which they were inserted; borrowed */
    GPtrArray *broken; /* in the order in which they broke */
    char groups[4];
} Walk;

static void
set_up(Walk *self, gconstpointer data)
{
    table_set_up(&self->table, NULL);
    self->random = g_rand_new_with_seed(SEED);
    self->strict = dlk_rule_new("strict");
    self->strict->strict_readers = TRUE;
    self->leases = g_ptr_array_new();
    self->broken = g_ptr_array_new();
}

static void
tear_down(Walk *self, gconstpointer data)
{
    g_rand_free(self->random);
    dlk_rule_unref(self->strict);
    g_ptr_array_unref(self->leases);
    g_ptr_array_unref(self->broken);
    table_tear_down(&self->table, NULL);
}

static guint
any_of(Walk *self, guint n)
{
    return (guint)g_rand_int_range(self->random, 0, (gint32)n);
}

/* ---- the model ---- */

static gboolean
keeps_out(const DlkLease *lease)
{
    return lease->phase == DLK_PHASE_LOCKING || lease->phase == DLK_PHASE_HELD ||
           lease->phase == DLK_PHASE_ENDING;
}

static gboolean
hinders(const DlkLease *other, const DlkLease *lease)
{
    return other != lease && (lease->group == NULL || other->group != lease->group) &&
           dlk_disk_overlaps(other->disk, lease->disk) &&
           dlk_mode_conflicts(other->mode, lease->mode,
                              other->rule->strict_readers || lease->rule->strict_readers);
}

/* May @other be what the table names as in the way of @lease? */
static gboolean
model_is_obstacle(Walk *self, const DlkLease *lease, const DlkLease *other, gboolean among_holders)
{
    if (!hinders(other, lease))
        return FALSE;
    if (among_holders)
        return keeps_out(other);
    return other->phase == DLK_PHASE_WAITING &&
           (lease->phase == DLK_PHASE_NEW || other->order < lease->order);
}

static DlkLease *
model_first_obstacle(Walk *self, const DlkLease *lease, gboolean among_holders)
{
    for (guint i = 0; i < self->leases->len; i++) {
        DlkLease *other = self->leases->pdata[i];

        if (model_is_obstacle(self, lease, other, among_holders))
            return other;
    }
    return NULL;
}

/* ---- the comparison ---- */

static void
compare_conflict(Walk *self, const DlkLease *lease)
{
    DlkLease *found = dlk_table_conflict(self->table.table, lease);
    DlkLease *holder = model_first_obstacle(self, lease, TRUE);

    if (holder != NULL) {
        /* Any holder will do: which of several is named is not promised. */
        g_assert_nonnull(found);
        g_assert_true(model_is_obstacle(self, lease, found, TRUE));
    } else {
        g_assert_true(found == model_first_obstacle(self, lease, FALSE));
    }
}

static void
compare_counts(Walk *self)
{
    guint on_bus = 0, live = 0, leases[N_UIDS] = {0}, waiters[N_UIDS] = {0};

    for (guint i = 0; i < self->leases->len; i++) {
        const DlkLease *lease = self->leases->pdata[i];

        on_bus += lease->phase == DLK_PHASE_HELD || lease->phase == DLK_PHASE_BROKEN;
        live += keeps_out(lease);
        leases[lease->uid] += keeps_out(lease);
        waiters[lease->uid] += lease->phase == DLK_PHASE_WAITING;
    }
    g_assert_cmpuint(dlk_table_count(self->table.table), ==, on_bus);
    g_assert_cmpuint(dlk_table_live_count(self->table.table), ==, live);
    for (guint uid = 0; uid < N_UIDS; uid++) {
        g_assert_cmpuint(dlk_table_leases_of(self->table.table, uid), ==, leases[uid]);
        g_assert_cmpuint(dlk_table_waiters_of(self->table.table, uid), ==, waiters[uid]);
    }
}

static void
compare_waiters(Walk *self, const DlkDisk *disk)
{
    g_autoptr(GPtrArray) waiters = dlk_table_waiters(self->table.table, disk);
    guint n = 0;

    for (guint i = 0; i < self->leases->len; i++) {
        DlkLease *lease = self->leases->pdata[i];

        if (lease->phase == DLK_PHASE_WAITING && dlk_disk_overlaps(lease->disk, disk)) {
            g_assert_cmpuint(n, <, waiters->len);
            g_assert_true(waiters->pdata[n++] == lease);
        }
    }
    g_assert_cmpuint(waiters->len, ==, n);
}

static void
compare_overlapping(Walk *self, const DlkDisk *disk)
{
    g_autoptr(GPtrArray) found = dlk_table_overlapping(self->table.table, disk);
    guint n = 0;

    for (guint i = 0; i < self->leases->len; i++) {
        DlkLease *lease = self->leases->pdata[i];

        if (lease->phase != DLK_PHASE_WAITING && dlk_disk_overlaps(lease->disk, disk)) {
            g_assert_true(g_ptr_array_find(found, lease, NULL));
            n++;
        }
    }
    g_assert_cmpuint(found->len, ==, n);
}

static void
compare_pages(Walk *self)
{
    guint64 token = 0;
    guint n = 0;

    for (DlkLease *lease = dlk_table_next(self->table.table, 0); lease != NULL;
         lease = dlk_table_next(self->table.table, token)) {
        g_assert_cmpuint(lease->token, >, token);
        g_assert_true(dlk_table_find(self->table.table, &lease->id) == lease);
        token = lease->token;
        n++;
    }
    g_assert_cmpuint(n, ==, dlk_table_count(self->table.table));
}

static void
compare_broken(Walk *self)
{
    const guint keep = any_of(self, 4);
    DlkLease *expected = self->broken->len > keep ? self->broken->pdata[0] : NULL;

    g_assert_true(dlk_table_oldest_broken(self->table.table, keep) == expected);
}

/* ---- the walk ---- */

static void
insert_any(Walk *self)
{
    DlkLease *lease =
        table_new_lease(&self->table, disks[any_of(self, G_N_ELEMENTS(disks))], any_of(self, DLK_N_MODES));
    const guint group = any_of(self, 12);

    lease->uid = any_of(self, N_UIDS);
    lease->group = group < G_N_ELEMENTS(self->groups) ? &self->groups[group] : NULL;
    if (any_of(self, 4) == 0)
        table_set_rule(lease, self->strict);
    compare_conflict(self, lease);
    g_hash_table_add(self->table.leases, lease);
    g_ptr_array_add(self->leases, lease);
    dlk_table_insert(self->table.table, lease, any_of(self, 2) ? DLK_PHASE_WAITING : DLK_PHASE_LOCKING);
}

static void
remove_any(Walk *self, DlkLease *lease)
{
    g_ptr_array_remove(self->leases, lease);
    g_ptr_array_remove(self->broken, lease);
    table_remove(&self->table, lease);
}

static void
move_on(Walk *self, DlkLease *lease)
{
    switch (lease->phase) {
    case DLK_PHASE_WAITING:
        dlk_table_set_phase(self->table.table, lease, DLK_PHASE_LOCKING);
        break;
    case DLK_PHASE_LOCKING:
        table_grant(&self->table, lease);
        break;
    case DLK_PHASE_HELD:
        if (any_of(self, 2) == 0) {
            dlk_table_set_phase(self->table.table, lease, DLK_PHASE_ENDING);
        } else {
            dlk_table_set_phase(self->table.table, lease, DLK_PHASE_BROKEN);
            g_ptr_array_add(self->broken, lease);
        }
        break;
    default:
        remove_any(self, lease);
    }
}

static void
step(Walk *self)
{
    const guint what = any_of(self, 10);
    DlkLease *lease = self->leases->len > 0 ? self->leases->pdata[any_of(self, self->leases->len)] : NULL;

    if (lease == NULL || (what < 4 && self->leases->len < 60))
        insert_any(self);
    else if (what < 8)
        move_on(self, lease);
    else if (what == 8)
        remove_any(self, lease);
    else
        compare_conflict(self, lease);
}

static void
test_table_says_what_the_naive_model_says(Walk *self, gconstpointer data)
{
    for (guint i = 0; i < STEPS; i++) {
        g_autoptr(DlkDisk) disk = table_disk(disks[any_of(self, G_N_ELEMENTS(disks))]);

        step(self);
        compare_counts(self);
        compare_waiters(self, disk);
        compare_overlapping(self, disk);
        compare_pages(self);
        compare_broken(self);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/table-random/says-what-the-naive-model-says", Walk, NULL, set_up,
               test_table_says_what_the_naive_model_says, tear_down);
    return g_test_run();
}
