#include "core/check-job.h"
#include "core/holding.h"
#include "engine-fixture.h"

/* Storage that does not answer in time, and then does. The time is long enough for a busy machine to have
 * asked it. */

#define SHORT_OF_PATIENCE ENGINE_POLICY "unreachable-after=3\n"

static void
test_acquire_ends_in_time_and_its_late_lock_is_given_back(EngineFixture *f, gconstpointer data)
{
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_RELEASE);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_UNREACHABLE, engine_image(f, "a.img"));
    g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(dlk_fake_backend_calls(f->fake, DLK_FAKE_RELEASE) == before + 1);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_other_disks_are_taken_while_one_hangs(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    EngineAnswer *stuck = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);
    g_assert_false(stuck->done);
    dlk_fake_backend_go_on(f->fake);
    engine_granted(stuck);
}

static void
test_set_of_which_one_hangs_gives_back_the_others(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    engine_assert_error(engine_ask_set(f, "a.img b.img c.img", NULL), DLK_ERROR_UNREACHABLE, ".img");
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(engine_ask_set(f, "a.img b.img c.img", "{'wait': <uint32 30000>}"));
}

static void
test_release_that_hangs_keeps_others_out_and_frees_later(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");

    dlk_fake_backend_hang(f->fake, DLK_FAKE_RELEASE);
    engine_assert_error(engine_ask_release(f, lease), DLK_ERROR_UNREACHABLE,
                        "the storage does not answer; the lease has ended");
    engine_assert_events(f, "acquired a.img\nreleased a.img\n");
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY,
                   "is being released by web01, and the storage has not yet let go");
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 60000>}");
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    dlk_fake_backend_go_on(f->fake);
    engine_granted(waiter);
}

static void
test_release_of_a_real_lock_frees_the_disk(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");

    engine_release(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

/* Nobody is waited for: when the call returns, without a turn of the loop, the disk is free. */
static void
test_release_that_cannot_block_is_over_at_once(EngineFixture *f, gconstpointer data)
{
    static const char *const backends[] = {"{'backend': <'fcntl'>}", "{'backend': <'host'>}"};

    for (guint i = 0; i < G_N_ELEMENTS(backends); i++) {
        DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, backends[i]);

        engine_settle(f);
        EngineAnswer *answer = engine_ask_release(f, lease);
        g_assert_true(answer->done);
        g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
        engine_assert_good(answer);
    }
}

static void
test_release_that_cannot_block_waits_for_what_is_under_way(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_set_release_never_blocks(f->fake, TRUE);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    dlk_fake_backend_set_release_never_blocks(f->fake, FALSE);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CONVERT);
    EngineAnswer *convert = engine_ask_convert(f, lease, DLK_MODE_SHARED);
    EngineAnswer *release = engine_ask_release(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    g_assert_false(release->done);
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(release);
    engine_assert_error(convert, DLK_ERROR_LEASE_LOST, "");
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 0);
}

static void
test_release_that_cannot_block_waits_for_no_check_that_hangs(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_set_release_never_blocks(f->fake, TRUE);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    dlk_fake_backend_set_release_never_blocks(f->fake, FALSE);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    EngineAnswer *check = engine_ask_check(f, lease);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    EngineAnswer *release = engine_ask_release(f, lease); /* returns, though the check has the lock's mutex */
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_good(release);
    engine_wait_until(check->done);
}

static void
test_release_twice_is_once(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_RELEASE);
    EngineAnswer *first = engine_ask_release(f, lease);
    engine_assert_good(engine_ask_release(f, lease));
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(first->done);
    engine_assert_events(f, "acquired a.img\nreleased a.img\n");
}

static void
on_asked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GArray **)user_data = dlk_check_job_finish(DLK_ENGINE(source), result);
}

/* Asks by one job after @n disks, where the first @n_hang questions hang; returns what it says of them. */
static GArray *
ask_after_batch(EngineFixture *f, guint n, guint n_hang)
{
    GPtrArray *holds = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_hold_unref);
    GArray *answers = NULL;

    for (guint i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("%u.img", i);
        const DlkLease *lease = engine_acquire(f, name, DLK_MODE_EXCLUSIVE, NULL);
        g_ptr_array_add(holds, dlk_hold_ref(dlk_holding(lease)->hold));
    }
    for (guint i = 0; i < n_hang; i++)
        dlk_fake_backend_hang(f->fake, DLK_FAKE_CHECK);
    dlk_check_job_run(f->engine, holds, 3 * G_USEC_PER_SEC, on_asked, &answers);
    engine_wait_until(answers != NULL);
    return answers;
}

static void
test_batch_on_storage_that_hangs_as_a_whole_is_unknown_in_the_time_of_one(EngineFixture *f,
                                                                          gconstpointer data)
{
    g_autoptr(GArray) answers = ask_after_batch(f, 12, 12);

    for (guint i = 0; i < answers->len; i++)
        g_assert_cmpint(g_array_index(answers, DlkChecked, i).answer, ==, DLK_CHECK_UNKNOWN);
    g_assert_cmpuint(answers->len, ==, 12);
    g_assert_cmpuint(dlk_fake_backend_hanging(f->fake), ==, 2);
    g_assert_cmpstr(g_array_index(answers, DlkChecked, 11).reason, ==,
                    "the storage did not answer within 3 s");
    for (guint i = 0; i < 12; i++)
        dlk_fake_backend_go_on(f->fake);
}

static void
test_batch_of_which_one_hangs_has_an_answer_for_each_other(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GArray) answers = ask_after_batch(f, 12, 1);

    for (guint i = 0; i < answers->len; i++)
        g_assert_cmpint(g_array_index(answers, DlkChecked, i).answer, ==,
                        i == 0 ? DLK_CHECK_UNKNOWN : DLK_CHECK_HELD);
    g_assert_cmpuint(answers->len, ==, 12);
    dlk_fake_backend_go_on(f->fake);
}

static void
test_engine_that_ends_with_leases_forgets_them(void)
{
    EngineFixture f = {0};

    engine_set_up(&f, ENGINE_POLICY);
    DlkLease *lease = engine_acquire(&f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");
    engine_acquire(&f, "b.img", DLK_MODE_EXCLUSIVE, "{'backend': <'host'>, 'lifetime': <'connection'>}");
    DlkLease *broken = engine_acquire(&f, "c.img", DLK_MODE_SHARED, "{'backend': <'host'>}");
    g_assert_true(dlk_engine_break(f.engine, broken, f.root, "test", NULL));
    engine_settle(&f);
    engine_wait_until(G_OBJECT(f.engine)->ref_count == 1);
    g_object_unref(f.engine);
    g_assert_null(lease->holding);

    /* Nothing of the first is left in this process: without what it wrote down the next one gets the disk. */
    g_autofree char *journal = scratch_path(&f.scratch, "leases");
    g_assert_cmpint(unlink(journal), ==, 0);
    engine_start(&f);
    engine_acquire(&f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'fcntl'>}");
    engine_tear_down(&f, NULL);
}

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    engine_add("/engine-hang/acquire", SHORT_OF_PATIENCE,
               test_acquire_ends_in_time_and_its_late_lock_is_given_back);
    engine_add("/engine-hang/other-disks", NULL, test_other_disks_are_taken_while_one_hangs);
    engine_add("/engine-hang/set", SHORT_OF_PATIENCE, test_set_of_which_one_hangs_gives_back_the_others);
    engine_add("/engine-hang/release", SHORT_OF_PATIENCE,
               test_release_that_hangs_keeps_others_out_and_frees_later);
    engine_add("/engine-hang/release-of-a-real-lock", NULL, test_release_of_a_real_lock_frees_the_disk);
    engine_add("/engine-hang/release-at-once", NULL, test_release_that_cannot_block_is_over_at_once);
    engine_add("/engine-hang/release-behind-a-change", NULL,
               test_release_that_cannot_block_waits_for_what_is_under_way);
    engine_add("/engine-hang/release-beside-a-check", NULL,
               test_release_that_cannot_block_waits_for_no_check_that_hangs);
    engine_add("/engine-hang/batch", NULL,
               test_batch_on_storage_that_hangs_as_a_whole_is_unknown_in_the_time_of_one);
    engine_add("/engine-hang/one-of-a-batch", NULL,
               test_batch_of_which_one_hangs_has_an_answer_for_each_other);
    engine_add("/engine-hang/release-twice", NULL, test_release_twice_is_once);
    g_test_add_func("/engine-hang/engine-ends", test_engine_that_ends_with_leases_forgets_them);
    return g_test_run();
}
