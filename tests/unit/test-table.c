#include "table-fixture.h"

static void
test_conflict_names_who_is_in_the_way(TableFixture *f, gconstpointer data)
{
    DlkLease *holder = table_hold(f, "a", DLK_MODE_EXCLUSIVE);

    table_assert_conflict(f, "a", DLK_MODE_EXCLUSIVE, holder);
    table_assert_conflict(f, "a", DLK_MODE_READ_ONLY, holder);
    table_assert_conflict(f, "b", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_compatible_modes_stand_together(TableFixture *f, gconstpointer data)
{
    DlkLease *first = table_hold(f, "a", DLK_MODE_SHARED);

    table_assert_conflict(f, "a", DLK_MODE_SHARED, NULL);
    table_assert_conflict(f, "a", DLK_MODE_READ_ONLY, NULL);
    table_assert_conflict(f, "a", DLK_MODE_EXCLUSIVE, first);
}

static void
test_strict_readers_tolerate_no_writer_whosoever_rule_says_so(TableFixture *f, gconstpointer data)
{
    g_autoptr(DlkRule) strict = dlk_rule_new("strict");
    strict->strict_readers = TRUE;

    DlkLease *reader = table_hold(f, "a", DLK_MODE_READ_ONLY);
    DlkLease *writer = table_hold(f, "b", DLK_MODE_SHARED);
    g_autoptr(DlkLease) strict_writer = table_new_lease(f, "a", DLK_MODE_SHARED);
    g_autoptr(DlkLease) strict_reader = table_new_lease(f, "b", DLK_MODE_READ_ONLY);
    table_set_rule(strict_writer, strict);
    table_set_rule(strict_reader, strict);

    table_assert_conflict(f, "a", DLK_MODE_SHARED, NULL);
    g_assert_true(dlk_table_conflict(f->table, strict_writer) == reader);
    g_assert_true(dlk_table_conflict(f->table, strict_reader) == writer);
}

static void
test_lease_keeps_others_out_from_its_reservation_to_its_end(TableFixture *f, gconstpointer data)
{
    DlkLease *lease = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_LOCKING);

    table_assert_conflict(f, "a", DLK_MODE_SHARED, lease);
    dlk_table_set_phase(f->table, lease, DLK_PHASE_HELD);
    table_assert_conflict(f, "a", DLK_MODE_SHARED, lease);
    dlk_table_set_phase(f->table, lease, DLK_PHASE_ENDING);
    table_assert_conflict(f, "a", DLK_MODE_SHARED, lease);
    table_remove(f, lease);
    table_assert_conflict(f, "a", DLK_MODE_SHARED, NULL);
}

static void
test_broken_lease_keeps_nobody_out(TableFixture *f, gconstpointer data)
{
    DlkLease *lease = table_hold(f, "a", DLK_MODE_EXCLUSIVE);

    dlk_table_set_phase(f->table, lease, DLK_PHASE_BROKEN);
    table_assert_conflict(f, "a", DLK_MODE_EXCLUSIVE, NULL);
    g_assert_true(dlk_table_find(f->table, &lease->id) == lease);
}

static void
test_whole_disk_and_partition_are_in_each_others_way(TableFixture *f, gconstpointer data)
{
    DlkLease *partition = table_hold(f, "sda1<sda", DLK_MODE_EXCLUSIVE);

    table_assert_conflict(f, "sda", DLK_MODE_EXCLUSIVE, partition);
    table_assert_conflict(f, "sdb", DLK_MODE_EXCLUSIVE, NULL);
    table_remove(f, partition);

    DlkLease *whole = table_hold(f, "sda", DLK_MODE_EXCLUSIVE);
    table_assert_conflict(f, "sda1<sda", DLK_MODE_EXCLUSIVE, whole);
    table_assert_conflict(f, "sdb1<sdb", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_two_partitions_are_not(TableFixture *f, gconstpointer data)
{
    table_hold(f, "sda1<sda", DLK_MODE_EXCLUSIVE);
    table_assert_conflict(f, "sda2<sda", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_overlap_reaches_over_several_layers(TableFixture *f, gconstpointer data)
{
    DlkLease *volume = table_hold(f, "dm0<sda1<sda", DLK_MODE_EXCLUSIVE);

    table_assert_conflict(f, "sda", DLK_MODE_READ_ONLY, volume);
    table_assert_conflict(f, "sda1<sda", DLK_MODE_READ_ONLY, volume);
    table_assert_conflict(f, "sda2<sda", DLK_MODE_READ_ONLY, NULL);
    table_assert_conflict(f, "dm0<sda1<sda", DLK_MODE_READ_ONLY, volume);
}

static void
test_leases_of_one_group_do_not_hinder_each_other(TableFixture *f, gconstpointer data)
{
    DlkLease *first = table_insert(f, "sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_LOCKING);
    g_autoptr(DlkLease) second = table_new_lease(f, "sda1<sda", DLK_MODE_EXCLUSIVE);

    g_assert_true(dlk_table_conflict(f->table, second) == first);
    first->group = second->group = f;
    g_assert_null(dlk_table_conflict(f->table, second));
    first->group = NULL;
    g_assert_true(dlk_table_conflict(f->table, second) == first);
}

static void
test_first_come_first_served(TableFixture *f, gconstpointer data)
{
    DlkLease *holder = table_hold(f, "a", DLK_MODE_EXCLUSIVE);
    DlkLease *first = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    DlkLease *second = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);

    table_remove(f, holder);
    g_assert_null(dlk_table_conflict(f->table, first));
    g_assert_true(dlk_table_conflict(f->table, second) == first);
    g_autoptr(GPtrArray) waiters = dlk_table_waiters(f->table, first->disk);
    g_assert_cmpuint(waiters->len, ==, 2);
    g_assert_true(waiters->pdata[0] == first);
    g_assert_true(waiters->pdata[1] == second);
}

static void
test_compatible_request_waits_behind_an_earlier_conflicting_one(TableFixture *f, gconstpointer data)
{
    table_hold(f, "a", DLK_MODE_READ_ONLY);
    DlkLease *writer = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);

    /* It could stand beside the holder, but then the writer might wait for ever. */
    table_assert_conflict(f, "a", DLK_MODE_READ_ONLY, writer);
    DlkLease *reader = table_insert(f, "a", DLK_MODE_READ_ONLY, DLK_PHASE_WAITING);
    g_assert_true(dlk_table_conflict(f->table, reader) == writer);
    table_remove(f, writer);
    g_assert_null(dlk_table_conflict(f->table, reader));
}

static void
test_waiters_that_are_compatible_do_not_wait_for_each_other(TableFixture *f, gconstpointer data)
{
    DlkLease *holder = table_hold(f, "a", DLK_MODE_EXCLUSIVE);
    DlkLease *first = table_insert(f, "a", DLK_MODE_SHARED, DLK_PHASE_WAITING);
    DlkLease *second = table_insert(f, "a", DLK_MODE_SHARED, DLK_PHASE_WAITING);

    table_remove(f, holder);
    g_assert_null(dlk_table_conflict(f->table, first));
    g_assert_null(dlk_table_conflict(f->table, second));
}

static void
test_holder_comes_before_waiter_as_the_one_in_the_way(TableFixture *f, gconstpointer data)
{
    DlkLease *part = table_hold(f, "sda1<sda", DLK_MODE_EXCLUSIVE);
    DlkLease *waiter = table_insert(f, "sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);

    table_assert_conflict(f, "sda", DLK_MODE_EXCLUSIVE, part);
    table_assert_conflict(f, "sda2<sda", DLK_MODE_EXCLUSIVE, waiter);
}

static void
test_waiters_of_a_disk_include_those_of_its_parts_and_of_the_whole(TableFixture *f, gconstpointer data)
{
    table_hold(f, "sda1<sda", DLK_MODE_EXCLUSIVE);
    DlkLease *whole = table_insert(f, "sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    DlkLease *same = table_insert(f, "sda1<sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    table_insert(f, "sda2<sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);

    g_autoptr(DlkDisk) disk = table_disk("sda1<sda");
    g_autoptr(GPtrArray) waiters = dlk_table_waiters(f->table, disk);
    g_assert_cmpuint(waiters->len, ==, 2);
    g_assert_true(waiters->pdata[0] == whole);
    g_assert_true(waiters->pdata[1] == same);
}

static void
test_conversion_looks_at_holders_and_not_at_waiters(TableFixture *f, gconstpointer data)
{
    DlkLease *lease = table_hold(f, "a", DLK_MODE_READ_ONLY);
    table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);

    g_assert_null(dlk_table_conflict_in_mode(f->table, lease, DLK_MODE_EXCLUSIVE));
    DlkLease *other = table_hold(f, "a", DLK_MODE_READ_ONLY);
    g_assert_true(dlk_table_conflict_in_mode(f->table, lease, DLK_MODE_EXCLUSIVE) == other);
    g_assert_null(dlk_table_conflict_in_mode(f->table, lease, DLK_MODE_SHARED));
}

static void
test_overlapping_leases_are_found_but_not_waiters(TableFixture *f, gconstpointer data)
{
    DlkLease *held = table_hold(f, "sda", DLK_MODE_SHARED);
    DlkLease *locking = table_insert(f, "sda1<sda", DLK_MODE_SHARED, DLK_PHASE_LOCKING);
    DlkLease *broken = table_hold(f, "sda", DLK_MODE_SHARED);
    dlk_table_set_phase(f->table, broken, DLK_PHASE_BROKEN);
    table_insert(f, "sda", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    table_hold(f, "sdb", DLK_MODE_SHARED);

    g_autoptr(DlkDisk) disk = table_disk("sda");
    g_autoptr(GPtrArray) leases = dlk_table_overlapping(f->table, disk);
    g_assert_cmpuint(leases->len, ==, 3);
    g_assert_true(g_ptr_array_find(leases, held, NULL));
    g_assert_true(g_ptr_array_find(leases, locking, NULL));
    g_assert_true(g_ptr_array_find(leases, broken, NULL));
}

static void
test_only_leases_on_the_bus_are_found_by_id(TableFixture *f, gconstpointer data)
{
    DlkLease *lease = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    const DlkLeaseId id = lease->id;

    g_assert_null(dlk_table_find(f->table, &id));
    dlk_table_set_phase(f->table, lease, DLK_PHASE_LOCKING);
    g_assert_null(dlk_table_find(f->table, &id));
    dlk_table_set_phase(f->table, lease, DLK_PHASE_HELD);
    g_assert_true(dlk_table_find(f->table, &id) == lease);
    g_assert_cmpuint(dlk_table_count(f->table), ==, 1);
    dlk_table_set_phase(f->table, lease, DLK_PHASE_ENDING);
    g_assert_null(dlk_table_find(f->table, &id));
    g_assert_cmpuint(dlk_table_count(f->table), ==, 0);
}

static void
test_usage_is_counted_for_each_uid(TableFixture *f, gconstpointer data)
{
    f->uid = 1000;
    DlkLease *held = table_hold(f, "a", DLK_MODE_EXCLUSIVE);
    DlkLease *waiter = table_insert(f, "a", DLK_MODE_EXCLUSIVE, DLK_PHASE_WAITING);
    f->uid = 0;
    DlkLease *locking = table_insert(f, "b", DLK_MODE_EXCLUSIVE, DLK_PHASE_LOCKING);

    g_assert_cmpuint(dlk_table_leases_of(f->table, 1000), ==, 1);
    g_assert_cmpuint(dlk_table_waiters_of(f->table, 1000), ==, 1);
    g_assert_cmpuint(dlk_table_leases_of(f->table, 0), ==, 1);
    g_assert_cmpuint(dlk_table_waiters_of(f->table, 0), ==, 0);
    g_assert_cmpuint(dlk_table_live_count(f->table), ==, 2);

    dlk_table_set_phase(f->table, held, DLK_PHASE_BROKEN);
    g_assert_cmpuint(dlk_table_leases_of(f->table, 1000), ==, 0);
    dlk_table_set_phase(f->table, locking, DLK_PHASE_HELD);
    dlk_table_set_phase(f->table, locking, DLK_PHASE_ENDING);
    g_assert_cmpuint(dlk_table_leases_of(f->table, 0), ==, 1);
    table_remove(f, locking);
    g_assert_cmpuint(dlk_table_leases_of(f->table, 0), ==, 0);
    table_remove(f, waiter);
    g_assert_cmpuint(dlk_table_waiters_of(f->table, 1000), ==, 0);
    g_assert_cmpuint(dlk_table_live_count(f->table), ==, 0);
    g_assert_cmpuint(dlk_table_leases_of(f->table, 4711), ==, 0);
}

static void
test_pages_go_by_token_and_survive_what_ends_meanwhile(TableFixture *f, gconstpointer data)
{
    DlkLease *leases[5];

    for (guint i = 0; i < 5; i++)
        leases[i] = table_hold(f, "a", DLK_MODE_SHARED);
    g_assert_true(dlk_table_next(f->table, 0) == leases[0]);
    g_assert_true(dlk_table_next(f->table, leases[0]->token) == leases[1]);
    g_assert_null(dlk_table_next(f->table, leases[4]->token));
    g_assert_null(dlk_table_next(f->table, G_MAXUINT64));

    /* The reader of a page has the token of the last lease, whatever has become of that lease. */
    const guint64 last = leases[2]->token;
    table_remove(f, leases[2]);
    g_assert_true(dlk_table_next(f->table, last) == leases[3]);
    dlk_table_set_phase(f->table, leases[3], DLK_PHASE_BROKEN);
    g_assert_true(dlk_table_next(f->table, last) == leases[3]);
    dlk_table_set_phase(f->table, leases[4], DLK_PHASE_ENDING);
    g_assert_null(dlk_table_next(f->table, leases[3]->token));
}

static void
test_broken_leases_go_in_the_order_in_which_they_broke(TableFixture *f, gconstpointer data)
{
    DlkLease *a = table_hold(f, "a", DLK_MODE_EXCLUSIVE), *b = table_hold(f, "b", DLK_MODE_EXCLUSIVE);

    g_assert_null(dlk_table_oldest_broken(f->table, 0));
    dlk_table_set_phase(f->table, b, DLK_PHASE_BROKEN);
    dlk_table_set_phase(f->table, a, DLK_PHASE_BROKEN);
    g_assert_null(dlk_table_oldest_broken(f->table, 2));
    g_assert_true(dlk_table_oldest_broken(f->table, 1) == b);
    table_remove(f, b);
    g_assert_null(dlk_table_oldest_broken(f->table, 1));
    g_assert_true(dlk_table_oldest_broken(f->table, 0) == a);
}

static void
test_hundred_thousand_leases_are_inserted_found_and_removed(TableFixture *f, gconstpointer data)
{
    enum {
        N = 100000
    };
    g_autofree DlkLease **leases = g_new(DlkLease *, N);

    for (guint i = 0; i < N; i++) {
        g_autofree char *disk = g_strdup_printf("disk%u", i / 4);
        leases[i] = table_hold(f, disk, DLK_MODE_SHARED);
    }
    g_assert_cmpuint(dlk_table_count(f->table), ==, N);
    for (guint i = 0; i < N; i++)
        g_assert_true(dlk_table_find(f->table, &leases[i]->id) == leases[i]);
    table_assert_conflict(f, "disk17", DLK_MODE_EXCLUSIVE, leases[17 * 4]);
    for (guint i = 0; i < N; i += 2)
        table_remove(f, leases[i]);
    g_assert_cmpuint(dlk_table_count(f->table), ==, N / 2);
    table_assert_conflict(f, "disk17", DLK_MODE_EXCLUSIVE, leases[17 * 4 + 1]);
}

#define ADD(name, test) g_test_add("/table/" name, TableFixture, NULL, table_set_up, test, table_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("conflict-names-who-is-in-the-way", test_conflict_names_who_is_in_the_way);
    ADD("compatible-modes-stand-together", test_compatible_modes_stand_together);
    ADD("strict-readers", test_strict_readers_tolerate_no_writer_whosoever_rule_says_so);
    ADD("keeps-others-out-from-reservation-to-end",
        test_lease_keeps_others_out_from_its_reservation_to_its_end);
    ADD("broken-lease-keeps-nobody-out", test_broken_lease_keeps_nobody_out);
    ADD("whole-disk-and-partition", test_whole_disk_and_partition_are_in_each_others_way);
    ADD("two-partitions", test_two_partitions_are_not);
    ADD("overlap-over-several-layers", test_overlap_reaches_over_several_layers);
    ADD("group-does-not-hinder-itself", test_leases_of_one_group_do_not_hinder_each_other);
    ADD("first-come-first-served", test_first_come_first_served);
    ADD("compatible-waits-behind-earlier-conflicting",
        test_compatible_request_waits_behind_an_earlier_conflicting_one);
    ADD("compatible-waiters-do-not-wait-for-each-other",
        test_waiters_that_are_compatible_do_not_wait_for_each_other);
    ADD("holder-comes-before-waiter", test_holder_comes_before_waiter_as_the_one_in_the_way);
    ADD("waiters-of-parts-and-whole", test_waiters_of_a_disk_include_those_of_its_parts_and_of_the_whole);
    ADD("conversion-looks-at-holders", test_conversion_looks_at_holders_and_not_at_waiters);
    ADD("overlapping-leases", test_overlapping_leases_are_found_but_not_waiters);
    ADD("by-id-on-the-bus-only", test_only_leases_on_the_bus_are_found_by_id);
    ADD("usage-of-each-uid", test_usage_is_counted_for_each_uid);
    ADD("pages-by-token", test_pages_go_by_token_and_survive_what_ends_meanwhile);
    ADD("broken-in-their-order", test_broken_leases_go_in_the_order_in_which_they_broke);
    ADD("hundred-thousand-leases", test_hundred_thousand_leases_are_inserted_found_and_removed);
    return g_test_run();
}
