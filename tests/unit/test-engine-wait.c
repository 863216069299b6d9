#include "engine-fixture.h"

#define PATIENT "{'wait': <uint32 60000>}"

static void
test_waiter_gets_the_disk_when_it_is_free(EngineFixture *f, gconstpointer data)
{
    DlkLease *holder = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    engine_settle(f);
    g_assert_false(waiter->done);
    engine_release(f, holder);
    engine_granted(waiter);
    engine_assert_events(f, "acquired a.img\nreleased a.img\nacquired a.img\n");
}

static void
test_first_come_first_served(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 20
    };
    EngineAnswer *waiters[N];
    DlkLease *holder = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    for (guint i = 0; i < N; i++) {
        waiters[i] = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
        engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == i + 1);
    }
    for (guint i = 0; i < N; i++) {
        engine_release(f, holder);
        holder = engine_granted(waiters[i]);
        g_assert_cmpuint(dlk_table_waiters_of(dlk_engine_table(f->engine), 0), ==, N - 1 - i);
    }
}

static void
test_wait_that_ends_in_vain_says_who_had_it(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 50>}", DLK_ERROR_TIMED_OUT,
                   "is held exclusively by web01");
    g_assert_cmpuint(dlk_table_waiters_of(dlk_engine_table(f->engine), 0), ==, 0);
}

static void
test_later_compatible_request_waits_behind_an_earlier_waiter(EngineFixture *f, gconstpointer data)
{
    DlkLease *reader = engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    EngineAnswer *writer =
        engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 60000>, 'owner': <'w'>}");
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    EngineAnswer *second = engine_ask_as(f, f->root, "a.img", DLK_MODE_READ_ONLY, PATIENT);
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 2);

    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_BUSY, "waited for by w, who came first");
    engine_settle(f);
    g_assert_false(second->done);
    engine_release(f, reader);
    DlkLease *lease = engine_granted(writer);
    g_assert_false(second->done);
    engine_release(f, lease);
    engine_granted(second);
}

static void
test_who_waited_behind_a_waiter_that_gives_up_is_served(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    EngineAnswer *writer = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 1000>}");
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    EngineAnswer *second = engine_ask_as(f, f->root, "a.img", DLK_MODE_READ_ONLY, PATIENT);

    engine_assert_error(writer, DLK_ERROR_TIMED_OUT, "waited 1.0 s");
    engine_granted(second);
}

static void
test_waiter_whose_caller_leaves_is_forgotten(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);
    DlkLease *holder = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    EngineAnswer *next = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 2);
    g_cancellable_cancel(caller->gone);
    engine_assert_error(waiter, DLK_ERROR_NOT_AUTHORIZED, "left the bus");
    g_assert_cmpuint(dlk_table_waiters_of(dlk_engine_table(f->engine), 0), ==, 1);
    engine_release(f, holder);
    engine_granted(next);
}

static void
test_waiter_whose_caller_leaves_as_the_disk_becomes_free_does_not_keep_it(EngineFixture *f,
                                                                          gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);
    DlkLease *holder = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    EngineAnswer *next = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 2);
    EngineAnswer *release = engine_ask_release(f, holder);
    g_cancellable_cancel(caller->gone);
    engine_assert_good(release);
    engine_assert_error(waiter, DLK_ERROR_NOT_AUTHORIZED, "left the bus");
    engine_granted(next);
}

static void
test_who_waits_asks_again_while_another_host_has_the_disk(EngineFixture *f, gconstpointer data)
{
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_ACQUIRE);

    dlk_fake_backend_busy(f->fake, 4);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    g_assert_cmpuint(dlk_fake_backend_calls(f->fake, DLK_FAKE_ACQUIRE) - before, ==, 5);
}

static void
test_wait_for_another_host_ends_too(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1000);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 200>}", DLK_ERROR_TIMED_OUT,
                   "locked by another host");
    dlk_fake_backend_reset(f->fake);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_who_asks_again_keeps_his_place(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1000);
    EngineAnswer *first = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    engine_wait_until(dlk_table_live_count(dlk_engine_table(f->engine)) == 1);
    EngineAnswer *second = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);

    dlk_fake_backend_reset(f->fake);
    DlkLease *lease = engine_granted(first);
    g_assert_false(second->done);
    engine_release(f, lease);
    engine_granted(second);
}

static void
test_caller_who_leaves_between_two_tries_is_forgotten(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_ACQUIRE);

    dlk_fake_backend_busy(f->fake, 1000);
    EngineAnswer *answer = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);
    engine_wait_until(dlk_fake_backend_calls(f->fake, DLK_FAKE_ACQUIRE) - before >= 3);
    g_cancellable_cancel(caller->gone);
    engine_assert_error(answer, DLK_ERROR_NOT_AUTHORIZED, "left the bus");
    g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
}

/* ---- several disks at once ---- */

static void
test_set_is_granted_whole(EngineFixture *f, gconstpointer data)
{
    EngineAnswer *answer = engine_ask_set(f, "a.img b.img c.img", NULL);

    engine_assert_good(answer);
    g_assert_cmpuint(answer->leases->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const DlkLease *lease = answer->leases->pdata[i];
        const char *const names[] = {"a.img", "b.img", "c.img"};

        g_assert_cmpstr(lease->path, ==, engine_image(f, names[i]));
    }
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 3);
}

static void
test_set_of_which_one_is_held_is_refused_whole(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");
    engine_assert_error(engine_ask_set(f, "a.img b.img", NULL), DLK_ERROR_BUSY, engine_image(f, "b.img"));
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_set_of_which_one_cannot_be_locked_leaves_nothing_locked(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_delay(f->fake, DLK_FAKE_ACQUIRE, 1);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_ACQUIRE, DLK_ERROR_BACKEND_FAILED, "no lock daemon");
    engine_assert_error(engine_ask_set(f, "a.img b.img c.img", NULL), DLK_ERROR_BACKEND_FAILED,
                        "no lock daemon");
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
    g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
    engine_assert_events(f, "");
}

static void
test_set_that_another_host_is_in_the_way_of_waits_without_holding_a_part(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1);
    EngineAnswer *answer = engine_ask_set(f, "a.img b.img", PATIENT);

    engine_assert_good(answer);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 2);
}

static void
test_set_names_a_disk_once(EngineFixture *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "link.img", engine_image(f, "a.img"));

    engine_assert_error(engine_ask_set(f, "a.img b.img link.img", NULL), DLK_ERROR_INVALID_ARGS,
                        "name it once");
}

static void
test_sets_that_overlap_never_wait_for_each_other_for_ever(EngineFixture *f, gconstpointer data)
{
    enum {
        N = 24
    };
    static const char *const sets[] = {"a.img b.img", "b.img c.img", "c.img a.img", "b.img a.img", "c.img"};
    EngineAnswer *answers[N];
    guint granted = 0;

    for (guint i = 0; i < N; i++)
        answers[i] = engine_ask_set(f, sets[i % G_N_ELEMENTS(sets)], PATIENT);
    while (granted < N) {
        engine_turn();
        for (guint i = 0; i < N; i++) {
            if (!answers[i] || !answers[i]->done)
                continue;
            g_assert_no_error(answers[i]->error);
            for (guint k = 0; k < answers[i]->leases->len; k++)
                dlk_engine_release(f->engine, answers[i]->leases->pdata[k], "done");
            answers[i] = NULL;
            granted++;
        }
    }
}

/* ---- limits ---- */

#define LIMITED ENGINE_POLICY "[Limits]\nleases-per-uid=2\nwaiters-per-uid=2\n"

static void
test_leases_of_one_uid_are_limited(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_refused(f, "c.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_LIMIT_EXCEEDED, "leases-per-uid");
    engine_release(f, lease);
    engine_acquire(f, "c.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_set_beyond_the_limit_is_refused_whole(EngineFixture *f, gconstpointer data)
{
    engine_assert_error(engine_ask_set(f, "a.img b.img c.img", NULL), DLK_ERROR_LIMIT_EXCEEDED,
                        "leases-per-uid");
    engine_assert_good(engine_ask_set(f, "a.img b.img", NULL));
}

static void
test_waiters_of_one_uid_are_limited(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *first = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 2000>}");
    EngineAnswer *second = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 2000>}");
    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 2);

    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, PATIENT, DLK_ERROR_LIMIT_EXCEEDED, "waiters-per-uid");
    engine_assert_error(first, DLK_ERROR_TIMED_OUT, "");
    engine_assert_error(second, DLK_ERROR_TIMED_OUT, "");
}

static void
test_waiter_who_has_too_many_leases_when_his_turn_comes_is_refused(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, PATIENT);

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_write_policy(f, ENGINE_POLICY "[Limits]\nleases-per-uid=1\n");
    g_assert_true(dlk_engine_reload(f->engine, NULL));
    engine_release(f, lease);
    engine_assert_error(waiter, DLK_ERROR_LIMIT_EXCEEDED, "leases-per-uid");
}

static void
test_leases_in_all_are_limited(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_refused(f, "b.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_LIMIT_EXCEEDED, "1 in all (leases)");
}

#define ADD(name, policy, test) engine_add("/engine-wait/" name, policy, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("served-when-free", NULL, test_waiter_gets_the_disk_when_it_is_free);
    ADD("first-come-first-served", NULL, test_first_come_first_served);
    ADD("in-vain", NULL, test_wait_that_ends_in_vain_says_who_had_it);
    ADD("behind-an-earlier-waiter", NULL, test_later_compatible_request_waits_behind_an_earlier_waiter);
    ADD("earlier-waiter-gives-up", NULL, test_who_waited_behind_a_waiter_that_gives_up_is_served);
    ADD("caller-leaves", NULL, test_waiter_whose_caller_leaves_is_forgotten);
    ADD("caller-leaves-as-disk-becomes-free", NULL,
        test_waiter_whose_caller_leaves_as_the_disk_becomes_free_does_not_keep_it);
    ADD("asks-again", NULL, test_who_waits_asks_again_while_another_host_has_the_disk);
    ADD("another-host-in-vain", NULL, test_wait_for_another_host_ends_too);
    ADD("asks-again-and-keeps-his-place", NULL, test_who_asks_again_keeps_his_place);
    ADD("caller-leaves-between-two-tries", NULL, test_caller_who_leaves_between_two_tries_is_forgotten);
    ADD("set-granted-whole", NULL, test_set_is_granted_whole);
    ADD("set-refused-whole", NULL, test_set_of_which_one_is_held_is_refused_whole);
    ADD("set-leaves-nothing-locked", NULL, test_set_of_which_one_cannot_be_locked_leaves_nothing_locked);
    ADD("set-waits-without-a-part", NULL,
        test_set_that_another_host_is_in_the_way_of_waits_without_holding_a_part);
    ADD("set-names-a-disk-once", NULL, test_set_names_a_disk_once);
    ADD("sets-that-overlap", NULL, test_sets_that_overlap_never_wait_for_each_other_for_ever);
    ADD("leases-of-one-uid", LIMITED, test_leases_of_one_uid_are_limited);
    ADD("set-beyond-the-limit", LIMITED, test_set_beyond_the_limit_is_refused_whole);
    ADD("waiters-of-one-uid", LIMITED, test_waiters_of_one_uid_are_limited);
    ADD("too-many-when-his-turn-comes", NULL,
        test_waiter_who_has_too_many_leases_when_his_turn_comes_is_refused);
    ADD("leases-in-all", ENGINE_POLICY "[Limits]\nleases=1\n", test_leases_in_all_are_limited);
    return g_test_run();
}
