#include "core/internal.h"
#include "engine-fixture.h"

/* Convert, Suspend and Resume. */

#define ADOPT "{'owner': <'web01'>, 'adopt': <true>}"
#define PATIENT "{'wait': <uint32 60000>}"
#define SHORT_OF_PATIENCE ENGINE_POLICY "unreachable-after=1\n"

static void
test_lease_is_converted_up_and_down(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    static const DlkMode modes[] = {DLK_MODE_SHARED, DLK_MODE_EXCLUSIVE, DLK_MODE_READ_ONLY};

    for (guint i = 0; i < G_N_ELEMENTS(modes); i++) {
        engine_assert_good(engine_ask_convert(f, lease, modes[i]));
        g_assert_cmpint(lease->mode, ==, modes[i]);
        g_assert_cmpuint(f->changes, ==, i + 1);
    }
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
}

static void
test_conversion_to_the_same_mode_is_done_already(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_CONVERT);

    engine_assert_good(engine_ask_convert(f, lease, DLK_MODE_SHARED));
    g_assert_cmpuint(dlk_fake_backend_calls(f->fake, DLK_FAKE_CONVERT), ==, before);
}

static void
test_conversion_says_who_is_in_the_way(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'owner': <'db01'>}");
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_BUSY,
                        "is held shared by db01");
    g_assert_cmpint(lease->mode, ==, DLK_MODE_SHARED);
}

static void
test_conversion_that_the_backend_refuses_leaves_the_old_mode(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_fail(f->fake, DLK_FAKE_CONVERT, DLK_ERROR_BUSY, "locked by another host");
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_BUSY, "another host");
    g_assert_cmpint(lease->mode, ==, DLK_MODE_SHARED);
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    engine_assert_events(f, "acquired a.img\nacquired a.img\n");
}

static void
test_conversion_to_a_mode_that_the_rule_forbids_is_refused(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);

    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_SHARED), DLK_ERROR_POLICY_DENIED,
                        "does not allow mode shared");
}

static void
test_waiter_is_served_when_the_holder_converts_down(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_SHARED, PATIENT);

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    engine_assert_good(engine_ask_convert(f, lease, DLK_MODE_SHARED));
    engine_granted(waiter);
}

static void
test_nobody_gets_in_while_a_conversion_is_under_way(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *up = engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "is being taken exclusively");
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_SHARED, PATIENT);
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(up);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *down = engine_ask_convert(f, lease, DLK_MODE_SHARED);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_settle(f);
    g_assert_false(waiter->done);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(down);
    engine_granted(waiter);
}

static void
test_waiter_is_served_when_a_conversion_up_fails(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *up = engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    EngineAnswer *release = engine_ask_release(f, lease);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_error(up, DLK_ERROR_LEASE_LOST, "ended meanwhile");
    engine_assert_good(release);
    engine_granted(waiter);
}

static void
test_one_change_at_a_time(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *first = engine_ask_convert(f, lease, DLK_MODE_READ_ONLY);
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_BUSY,
                        "another change of this lease");
    engine_assert_error(engine_ask_suspend(f, lease), DLK_ERROR_BUSY, "another change");
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(first);
    g_assert_cmpint(lease->mode, ==, DLK_MODE_READ_ONLY);
}

/* Whoever started a VM on the old mode would write with the lock of the new one. */
static void
test_nobody_adopts_a_lease_that_is_being_changed(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, ADOPT);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *down = engine_ask_convert(f, lease, DLK_MODE_SHARED);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, ADOPT, DLK_ERROR_BUSY, "is just being converted");
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(down);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_RELEASE);
    EngineAnswer *suspension = engine_ask_suspend(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, ADOPT, DLK_ERROR_BUSY, "suspended or resumed: try again");
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(suspension);
    g_assert_true(engine_acquire(f, "a.img", DLK_MODE_SHARED, ADOPT) == lease);
}

static void
test_a_lease_that_was_weakened_meanwhile_is_not_adopted(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, ADOPT);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    EngineAnswer *set = engine_ask_set(f, "a.img b.img", ADOPT);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_assert_good(engine_ask_convert(f, lease, DLK_MODE_READ_ONLY));
    dlk_fake_backend_go_on(f->fake);
    engine_assert_error(set, DLK_ERROR_LEASE_LOST, "or was converted: ask again");
    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_change_of_a_lost_lease_is_refused(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    g_assert_true(dlk_engine_break(f->engine, lease, f->root, "test", NULL));
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_LEASE_LOST, "test");
    engine_assert_error(engine_ask_suspend(f, lease), DLK_ERROR_LEASE_LOST, "test");
    engine_assert_error(engine_ask_resume(f, lease), DLK_ERROR_LEASE_LOST, "test");
}

static void
test_lease_that_breaks_while_it_is_converted_is_lost(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *answer = engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    g_assert_true(dlk_engine_break(f->engine, lease, f->root, "test", NULL));
    dlk_fake_backend_go_on(f->fake);
    engine_assert_error(answer, DLK_ERROR_LEASE_LOST, "ended meanwhile");
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
}

static void
test_conversion_up_that_hangs_leaves_the_old_mode(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_UNREACHABLE,
                        engine_image(f, "a.img"));
    g_assert_cmpint(lease->mode, ==, DLK_MODE_SHARED);
    dlk_fake_backend_go_on(f->fake);
    engine_release(f, lease);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
}

static void
test_conversion_up_that_succeeds_too_late_is_undone(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE), DLK_ERROR_UNREACHABLE, "");
    dlk_fake_backend_go_on(f->fake);
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL); /* waits for its turn on the disk */
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 2);
}

static void
test_conversion_down_that_hangs_gives_up_what_this_host_can(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_READ_ONLY), DLK_ERROR_UNREACHABLE, "");
    g_assert_cmpint(lease->mode, ==, DLK_MODE_READ_ONLY);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    dlk_fake_backend_go_on(f->fake);
    engine_settle(f);
    engine_wait_until(engine_check(f, lease) == DLK_STATE_ACTIVE);
}

/* The answer that did not come was asked for before the change, and nobody is asked a second time. */
static void
test_check_that_hangs_before_a_change_puts_the_lease_at_risk(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *check = engine_ask_check(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    EngineAnswer *change = engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE);
    engine_assert_good(check);
    g_assert_cmpint(check->state, ==, DLK_STATE_AT_RISK);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(change->done);
    engine_wait_until(engine_check(f, lease) == DLK_STATE_ACTIVE);
}

/* An earlier answer may have been thrown away. */
static void
test_check_that_is_overdue_is_an_answer(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *first = engine_ask_check(f, lease);
    engine_assert_good(first);
    dlk_break_restore(f->engine, lease); /* as if nobody had heard */
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_AT_RISK);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(engine_check(f, lease) == DLK_STATE_ACTIVE);
}

/* ---- suspend and resume ---- */

static void
test_suspended_lease_gives_up_its_lock_and_keeps_the_disk(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");

    engine_assert_good(engine_ask_suspend(f, lease));
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 0);
    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_BUSY, "is held exclusively by web01");
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
    g_assert_cmpuint(f->changes, ==, 2);
}

static void
test_suspend_and_resume_twice_are_once(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_assert_good(engine_ask_resume(f, lease));
    engine_assert_good(engine_ask_suspend(f, lease));
    engine_assert_good(engine_ask_suspend(f, lease));
    engine_assert_good(engine_ask_resume(f, lease));
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpuint(f->changes, ==, 2);
}

static void
test_resume_is_busy_while_another_host_has_the_disk(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_assert_good(engine_ask_suspend(f, lease));
    dlk_fake_backend_busy(f->fake, 1);
    engine_assert_error(engine_ask_resume(f, lease), DLK_ERROR_BUSY, "locked by another host");
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
}

static void
test_resume_that_hangs_stays_suspended_and_its_late_lock_is_given_back(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_RELEASE);

    engine_assert_good(engine_ask_suspend(f, lease));
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    engine_assert_error(engine_ask_resume(f, lease), DLK_ERROR_UNREACHABLE, "");
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(dlk_fake_backend_calls(f->fake, DLK_FAKE_RELEASE) - before == 2);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 1);
}

static void
test_suspend_that_hangs_is_suspended_for_this_host(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_RELEASE);
    engine_assert_error(engine_ask_suspend(f, lease), DLK_ERROR_UNREACHABLE, "");
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
}

/* Some of it may be given up, and a check of the rest would break the lease. */
static void
test_suspend_that_fails_is_suspended_all_the_same(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_fail(f->fake, DLK_FAKE_RELEASE, DLK_ERROR_BACKEND_FAILED, "the disk says no");
    engine_assert_error(engine_ask_suspend(f, lease), DLK_ERROR_BACKEND_FAILED,
                        "the lease is suspended, but its lock may stand: the disk says no");
    g_assert_cmpint(lease->state, ==, DLK_STATE_SUSPENDED);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_SUSPENDED);
    dlk_fake_backend_reset(f->fake);
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
}

static void
test_suspended_lease_cannot_be_converted(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_assert_good(engine_ask_suspend(f, lease));
    engine_assert_error(engine_ask_convert(f, lease, DLK_MODE_SHARED), DLK_ERROR_UNSUPPORTED,
                        "resume it first");
}

static void
test_suspended_lease_can_be_released(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_assert_good(engine_ask_suspend(f, lease));
    engine_release(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_lease_with_a_real_lock_is_suspended_and_resumed(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");

    engine_assert_good(engine_ask_suspend(f, lease));
    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_BUSY, "is held exclusively");
    engine_assert_good(engine_ask_resume(f, lease));
    g_assert_cmpint(engine_check(f, lease), ==, DLK_STATE_ACTIVE);
}

static void
test_lease_that_was_suspended_for_long_is_checked_again(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_assert_good(engine_ask_suspend(f, lease));
    const gint64 until = g_get_monotonic_time() + 500 * G_TIME_SPAN_MILLISECOND; /* many intervals */
    engine_wait_until(g_get_monotonic_time() > until);
    engine_assert_good(engine_ask_resume(f, lease));
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_CHECK);
    engine_wait_until(dlk_fake_backend_calls(f->fake, DLK_FAKE_CHECK) > before + 2);
}

#define ADD(name, policy, test) engine_add("/engine-change/" name, policy, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("up-and-down", NULL, test_lease_is_converted_up_and_down);
    ADD("same-mode", NULL, test_conversion_to_the_same_mode_is_done_already);
    ADD("who-is-in-the-way", NULL, test_conversion_says_who_is_in_the_way);
    ADD("backend-refuses", NULL, test_conversion_that_the_backend_refuses_leaves_the_old_mode);
    ADD("rule-forbids", ENGINE_POLICY "modes=read-only\n",
        test_conversion_to_a_mode_that_the_rule_forbids_is_refused);
    ADD("down-serves-waiter", NULL, test_waiter_is_served_when_the_holder_converts_down);
    ADD("nobody-gets-in-meanwhile", NULL, test_nobody_gets_in_while_a_conversion_is_under_way);
    ADD("released-meanwhile", NULL, test_waiter_is_served_when_a_conversion_up_fails);
    ADD("one-at-a-time", NULL, test_one_change_at_a_time);
    ADD("not-adopted-meanwhile", NULL, test_nobody_adopts_a_lease_that_is_being_changed);
    ADD("weakened-before-adoption", NULL, test_a_lease_that_was_weakened_meanwhile_is_not_adopted);
    ADD("lost-lease", NULL, test_change_of_a_lost_lease_is_refused);
    ADD("breaks-meanwhile", NULL, test_lease_that_breaks_while_it_is_converted_is_lost);
    ADD("up-that-hangs", SHORT_OF_PATIENCE, test_conversion_up_that_hangs_leaves_the_old_mode);
    ADD("up-too-late", SHORT_OF_PATIENCE, test_conversion_up_that_succeeds_too_late_is_undone);
    ADD("down-that-hangs", SHORT_OF_PATIENCE, test_conversion_down_that_hangs_gives_up_what_this_host_can);
    ADD("suspend-keeps-the-disk", NULL, test_suspended_lease_gives_up_its_lock_and_keeps_the_disk);
    ADD("twice-is-once", NULL, test_suspend_and_resume_twice_are_once);
    ADD("resume-busy", NULL, test_resume_is_busy_while_another_host_has_the_disk);
    ADD("resume-that-hangs", SHORT_OF_PATIENCE,
        test_resume_that_hangs_stays_suspended_and_its_late_lock_is_given_back);
    ADD("suspend-that-hangs", SHORT_OF_PATIENCE, test_suspend_that_hangs_is_suspended_for_this_host);
    ADD("suspend-that-fails", NULL, test_suspend_that_fails_is_suspended_all_the_same);
    ADD("check-hangs-before-change", SHORT_OF_PATIENCE,
        test_check_that_hangs_before_a_change_puts_the_lease_at_risk);
    ADD("check-overdue", SHORT_OF_PATIENCE, test_check_that_is_overdue_is_an_answer);
    ADD("suspended-is-not-converted", NULL, test_suspended_lease_cannot_be_converted);
    ADD("suspended-is-released", NULL, test_suspended_lease_can_be_released);
    ADD("real-lock", NULL, test_lease_with_a_real_lock_is_suspended_and_resumed);
    ADD("checked-again-after-resume", "[Rule test]\nbackend=fake\ncheck-interval=0.05\n",
        test_lease_that_was_suspended_for_long_is_checked_again);
    return g_test_run();
}
