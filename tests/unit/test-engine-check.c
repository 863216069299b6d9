#include "base/filesystem.h"
#include "core/holding.h"
#include "engine-fixture.h"

#include <glib/gstdio.h>

#define CHECKED "[Rule test]\nbackend=fake;fcntl;host\ncheck-interval=0.05\n"
#define BRIEFLY_AT_RISK ENGINE_POLICY "risk-timeout=1\n"
#define SHORT_OF_PATIENCE ENGINE_POLICY "unreachable-after=1\n"

static void
test_lock_that_is_held_stays_active(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    const gint64 before = g_get_real_time();

    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_ACTIVE);
    g_assert_cmpint(lease->checked_at, >=, before);
    engine_assert_events(f, "acquired a.img\n");
}

static void
test_storage_that_does_not_say_puts_the_lease_at_risk_and_back(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    const gint64 checked_at = lease->checked_at;

    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    g_assert_cmpint(lease->checked_at, ==, checked_at);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "still away");
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_ACTIVE);
    engine_assert_events(f, "acquired a.img\nat-risk a.img: the server is away\nrestored a.img\n");
}

static void
test_lease_at_risk_for_too_long_is_broken(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    for (guint i = 0; i < 100; i++)
        dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    engine_check(f, lease);
    engine_wait_until(lease->state == DLK_STATE_BROKEN);
    g_assert_nonnull(strstr(lease->broken_reason, "risk-timeout"));
    dlk_fake_backend_reset(f->fake);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

/* The rule asks once an hour; nobody loses his disk for one answer that did not come. */
static void
test_lease_at_risk_is_asked_after_before_it_is_given_up(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    engine_wait_until(lease->state != DLK_STATE_AT_RISK);
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
}

static void
test_lease_that_was_restored_in_time_is_not_broken_later(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    engine_check(f, lease);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_ACTIVE);
    const gint64 until = g_get_monotonic_time() + 2 * G_TIME_SPAN_SECOND; /* twice the timeout */
    engine_wait_until(g_get_monotonic_time() > until);
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
}

static void
test_lease_at_risk_keeps_the_disk_and_may_be_released(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    engine_check(f, lease);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is held");
    engine_release(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_lease_at_risk_may_be_suspended(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    engine_check(f, lease);
    engine_assert_good(engine_ask_suspend(f, lease));
    const gint64 until = g_get_monotonic_time() + 2 * G_TIME_SPAN_SECOND;
    engine_wait_until(g_get_monotonic_time() > until);
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
}

static void
test_lost_lock_breaks_the_lease(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_BROKEN);
    g_assert_cmpstr(lease->broken_reason, ==, DLK_REASON_LOCK_TAKEN);
    engine_assert_events(f, "acquired a.img\nbroken a.img: " DLK_REASON_LOCK_TAKEN "\n");
}

static void
test_check_of_a_broken_or_suspended_lease_says_so(EngineFixture *f, gconstpointer data)
{
    DlkLease *broken = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    DlkLease *suspended = engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);

    g_assert_true(dlk_engine_break(f->engine, broken, f->root, "test", NULL));
    engine_assert_good(engine_ask_suspend(f, suspended));
    g_assert_cmpint(engine_check(f, broken), ==, DLK_STATE_BROKEN);
    g_assert_cmpint(engine_check(f, suspended), ==, DLK_STATE_SUSPENDED);
}

static void
test_every_lease_is_asked_after_by_itself(EngineFixture *f, gconstpointer data)
{
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_CHECK);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    const gint64 acquired_at = lease->acquired_at;

    engine_wait_until(dlk_fake_backend_calls(f->fake, DLK_FAKE_CHECK) - before >= 5);
    engine_wait_until(lease->checked_at > acquired_at);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "the server is away");
    engine_wait_until(engine_has_event(f, "at-risk a.img: the server is away"));
    engine_wait_until(engine_has_event(f, "restored a.img"));
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    engine_wait_until(engine_has_event(f, "broken a.img: " DLK_REASON_LOCK_TAKEN));
}

static void
test_more_leases_than_one_job_takes_are_all_asked_after(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 600
    };
    DlkLease *leases[N];
    guint unchecked = N;

    for (guint i = 0; i < N; i++)
        leases[i] = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'backend': <'host'>}");
    const gint64 start = g_get_real_time();
    while (unchecked > 0) {
        engine_turn();
        while (unchecked > 0 && leases[unchecked - 1]->checked_at > start)
            unchecked--;
    }
}

/* ---- what happens to the file ---- */

static void
test_file_that_is_replaced_breaks_its_lease(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");

    g_assert_cmpint(g_rename(engine_image(f, "b.img"), engine_image(f, "a.img")), ==, 0);
    engine_wait_until(lease->state == DLK_STATE_BROKEN);
    g_assert_cmpstr(lease->broken_reason, ==, DLK_REASON_REPLACED);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");
}

static void
test_file_that_is_deleted_breaks_its_lease(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");

    g_assert_cmpint(g_unlink(engine_image(f, "a.img")), ==, 0);
    engine_wait_until(lease->state == DLK_STATE_BROKEN);
    g_assert_cmpstr(lease->broken_reason, ==, DLK_REASON_DELETED);
}

static void
test_file_that_is_deleted_breaks_all_leases_on_it_whatever_the_backend(EngineFixture *f, gconstpointer data)
{
    DlkLease *first = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'backend': <'host'>}");
    DlkLease *second = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'backend': <'fake'>}");
    DlkLease *other = engine_acquire(f, "b.img", DLK_MODE_SHARED, "{'backend': <'host'>}");

    g_assert_cmpint(g_unlink(engine_image(f, "a.img")), ==, 0);
    engine_wait_until(first->state == DLK_STATE_BROKEN && second->state == DLK_STATE_BROKEN);
    engine_settle(f);
    g_assert_cmpint(other->state, ==, DLK_STATE_ACTIVE);
}

static void
test_file_that_is_moved_away_is_still_held(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");
    g_autofree char *moved = scratch_path(&f->scratch, "moved.img");

    g_assert_cmpint(g_rename(engine_image(f, "a.img"), moved), ==, 0);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_ACTIVE);
    engine_refused(f, "moved.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is held");
}

static void
test_name_that_something_was_heard_of_is_looked_at_with_each_check(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");
    const gint *look_in = &dlk_holding(lease)->hold->look_in;
    g_autofree char *moved = scratch_path(&f->scratch, "moved.img");

    g_assert_cmpint(g_atomic_int_get(look_in) > 0, ==, dlk_filesystem_is_local(lease->disk->filesystem));
    g_assert_cmpint(g_rename(engine_image(f, "a.img"), moved), ==, 0);
    engine_wait_until(g_atomic_int_get(look_in) == 0);
}

static void
test_file_that_is_replaced_while_it_is_being_checked_is_looked_at_again(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *check = engine_ask_check(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1); /* behind the look at the name */
    g_assert_cmpint(g_rename(engine_image(f, "b.img"), engine_image(f, "a.img")), ==, 0);
    engine_settle(f);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(check);
    engine_wait_until(lease->state == DLK_STATE_BROKEN);
    g_assert_cmpstr(lease->broken_reason, ==, DLK_REASON_REPLACED);
}

/* ---- answers that come too late, or never ---- */

static void
test_answer_from_before_a_change_is_not_believed(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *check = engine_ask_check(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    EngineAnswer *suspend = engine_ask_suspend(f, lease);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(check);
    engine_assert_good(suspend);
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
}

static void
test_lease_that_ends_while_it_is_checked_harms_nobody(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *check = engine_ask_check(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    EngineAnswer *release = engine_ask_release(f, lease);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(check);
    engine_assert_good(release);
}

static void
test_check_that_hangs_puts_the_lease_at_risk(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(engine_check(f, lease) == DLK_STATE_ACTIVE);
}

static void
test_of_a_batch_only_the_lease_that_hangs_is_at_risk(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 12
    };
    DlkLease *leases[N];
    guint at_risk = 0, unchecked = N;

    for (guint i = 0; i < N; i++) {
        g_autofree char *name = g_strdup_printf("%u.img", i);
        leases[i] = engine_acquire(f, name, DLK_MODE_EXCLUSIVE, NULL);
    }
    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_wait_until(engine_has_event(f, "at-risk"));
    const gint64 start = g_get_real_time();
    while (unchecked > 0) {
        engine_turn();
        while (unchecked > 0 && (leases[unchecked - 1]->checked_at > start ||
                                 leases[unchecked - 1]->state == DLK_STATE_AT_RISK))
            unchecked--;
    }
    for (guint i = 0; i < N; i++)
        at_risk += leases[i]->state == DLK_STATE_AT_RISK;
    g_assert_cmpuint(at_risk, ==, 1);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(engine_has_event(f, "restored"));
}

static void
test_lease_that_hangs_for_long_holds_up_no_other_check(EngineFixture *f, gconstpointer data)
{
    DlkLease *stuck = engine_acquire(f, "stuck.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    engine_wait_until(stuck->state == DLK_STATE_AT_RISK);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    /* Many intervals of the check, many times the deadline. */
    for (guint i = 0; i < 8; i++) {
        const gint64 start = g_get_real_time() + G_TIME_SPAN_SECOND;

        engine_wait_until(lease->checked_at > start);
        g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
    }
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(stuck->state == DLK_STATE_ACTIVE);
}

/* ---- whether the service does its work ---- */

#define BEAT (20 * G_TIME_SPAN_MILLISECOND)

static void
count(gpointer user_data)
{
    ++*(guint *)user_data;
}

static void
test_progress_is_told_again_and_again(EngineFixture *f, gconstpointer data)
{
    guint beats = 0;

    dlk_engine_watch_progress(f->engine, BEAT, count, &beats);
    engine_wait_until(beats >= 5);
    dlk_engine_unwatch_progress(f->engine);
}

static gpointer
hang(gpointer input, GError **error)
{
    while (!g_atomic_int_get((gint *)input))
        g_usleep(G_TIME_SPAN_MILLISECOND);
    return NULL;
}

static void
ignore_result(GObject *source, GAsyncResult *result, gpointer user_data)
{
}

static void
test_storage_that_holds_all_threads_does_not_count_against_the_service(EngineFixture *f, gconstpointer data)
{
    static const DlkJob hanging = {"hang", hang, NULL, NULL};
    gint go_on = 0;
    guint beats = 0;

    for (guint i = 0; i < DLK_POOL_THREADS; i++) {
        g_autofree char *lane = g_strdup_printf("dead-%u", i);
        dlk_pool_run_async(f->engine->pool, &hanging, &go_on, lane, NULL,
                           g_get_monotonic_time() + G_TIME_SPAN_HOUR, ignore_result, NULL);
    }
    engine_wait_until(dlk_pool_is_full(f->engine->pool));
    dlk_engine_watch_progress(f->engine, BEAT, count, &beats);
    engine_wait_until(beats >= 5);
    g_assert_true(dlk_pool_is_full(f->engine->pool));
    dlk_engine_unwatch_progress(f->engine);
    g_atomic_int_set(&go_on, 1);
    engine_wait_until(dlk_pool_running(f->engine->pool) == 0);
}

static void
turn_for(gint64 time)
{
    const gint64 until = g_get_monotonic_time() + time;

    while (g_get_monotonic_time() < until)
        engine_turn();
}

static void
test_checks_that_never_end_are_no_progress(EngineFixture *f, gconstpointer data)
{
    gint64 past = 0; /* of a round that was lost */
    guint beats = 0;

    g_queue_push_tail(&f->engine->rounds, &past);
    dlk_engine_watch_progress(f->engine, BEAT, count, &beats);
    turn_for(20 * BEAT);
    g_assert_cmpuint(beats, ==, 0);
    g_queue_clear(&f->engine->rounds);
    engine_wait_until(beats >= 2);
    dlk_engine_unwatch_progress(f->engine);
}

/* ---- when they are asked after ---- */

#define SPREAD_CHECKS "[Rule test]\nbackend=host\ncheck-interval=10\n"

/* How many timers' times fall into each tenth of the interval. */
static void
test_leases_of_one_burst_are_not_checked_in_one_burst(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 10000,
        PARTS = 10
    };
    guint parts[PARTS] = {0};

    for (guint i = 0; i < N; i++) {
        const DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
        const gint64 wait = dlk_timer_due(dlk_holding(lease)->check_timer) - g_get_monotonic_time();

        g_assert_cmpint(wait, <=, lease->rule->check_interval);
        parts[CLAMP(wait * PARTS / lease->rule->check_interval, 0, PARTS - 1)]++;
    }
    for (guint i = 0; i < PARTS; i++) {
        g_assert_cmpuint(parts[i], >, N / PARTS / 2);
        g_assert_cmpuint(parts[i], <, N / PARTS * 2);
    }
}

/* What lies side by side in memory is fetched together; but many do not come at once for that. */
static void
test_few_leases_taken_one_after_the_other_are_checked_together(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 160
    };
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

    for (guint i = 0; i < N; i++) {
        const DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
        const gint64 place = dlk_timer_due(dlk_holding(lease)->check_timer) % lease->rule->check_interval;

        g_hash_table_add(places, g_memdup2(&place, sizeof place));
    }
    g_assert_cmpuint(g_hash_table_size(places), <=, N / 8);
    g_assert_cmpuint(g_hash_table_size(places), >=, N / 32);
}

#define ADD(name, policy, test) engine_add("/engine-check/" name, policy, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("held", NULL, test_lock_that_is_held_stays_active);
    ADD("at-risk-and-back", NULL, test_storage_that_does_not_say_puts_the_lease_at_risk_and_back);
    ADD("at-risk-for-too-long", BRIEFLY_AT_RISK, test_lease_at_risk_for_too_long_is_broken);
    ADD("at-risk-asked-after", BRIEFLY_AT_RISK, test_lease_at_risk_is_asked_after_before_it_is_given_up);
    ADD("restored-in-time", BRIEFLY_AT_RISK, test_lease_that_was_restored_in_time_is_not_broken_later);
    ADD("at-risk-keeps-the-disk", NULL, test_lease_at_risk_keeps_the_disk_and_may_be_released);
    ADD("at-risk-suspended", BRIEFLY_AT_RISK, test_lease_at_risk_may_be_suspended);
    ADD("lost", NULL, test_lost_lock_breaks_the_lease);
    ADD("broken-or-suspended", NULL, test_check_of_a_broken_or_suspended_lease_says_so);
    ADD("by-itself", CHECKED, test_every_lease_is_asked_after_by_itself);
    ADD("more-than-one-job-takes", CHECKED, test_more_leases_than_one_job_takes_are_all_asked_after);
    ADD("replaced", NULL, test_file_that_is_replaced_breaks_its_lease);
    ADD("deleted", NULL, test_file_that_is_deleted_breaks_its_lease);
    ADD("deleted-whatever-the-backend", NULL,
        test_file_that_is_deleted_breaks_all_leases_on_it_whatever_the_backend);
    ADD("moved-away", NULL, test_file_that_is_moved_away_is_still_held);
    ADD("heard-of", NULL, test_name_that_something_was_heard_of_is_looked_at_with_each_check);
    ADD("replaced-while-checked", NULL,
        test_file_that_is_replaced_while_it_is_being_checked_is_looked_at_again);
    ADD("answer-from-before-a-change", NULL, test_answer_from_before_a_change_is_not_believed);
    ADD("ends-while-checked", NULL, test_lease_that_ends_while_it_is_checked_harms_nobody);
    ADD("hangs", SHORT_OF_PATIENCE, test_check_that_hangs_puts_the_lease_at_risk);
    ADD("one-of-a-batch-hangs", CHECKED "unreachable-after=1\n",
        test_of_a_batch_only_the_lease_that_hangs_is_at_risk);
    ADD("hangs-for-long", CHECKED "unreachable-after=1\n",
        test_lease_that_hangs_for_long_holds_up_no_other_check);
    ADD("progress", NULL, test_progress_is_told_again_and_again);
    ADD("progress-on-dead-storage", NULL,
        test_storage_that_holds_all_threads_does_not_count_against_the_service);
    ADD("no-progress", NULL, test_checks_that_never_end_are_no_progress);
    ADD("spread", SPREAD_CHECKS, test_leases_of_one_burst_are_not_checked_in_one_burst);
    ADD("neighbours", SPREAD_CHECKS, test_few_leases_taken_one_after_the_other_are_checked_together);
    return g_test_run();
}
