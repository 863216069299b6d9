#include "engine-fixture.h"

static void
add_holder_on(EngineFixture *f, const char *host)
{
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);

    holder->host = g_ref_string_new(host);
    dlk_fake_backend_add_holder(f->fake, holder);
}

static void
assert_removed(EngineFixture *f, const char *host, guint expected)
{
    EngineAnswer *answer = engine_ask_fence(f, "a.img", host);

    engine_assert_good(answer);
    g_assert_cmpuint(answer->removed, ==, expected);
}

static void
test_one_host_goes_and_others_stay(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha");
    add_holder_on(f, "beta");
    add_holder_on(f, "alpha");
    assert_removed(f, "alpha", 2);
    assert_removed(f, "alpha", 0);
    assert_removed(f, "beta", 1);
}

static void
test_what_a_lease_of_this_host_holds_is_not_fenced(EngineFixture *f, gconstpointer data)
{
    const char *own = dlk_engine_host_id(f->engine);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    const guint before = dlk_fake_backend_calls(f->fake, DLK_FAKE_FENCE);

    engine_assert_error(engine_ask_fence(f, "a.img", own), DLK_ERROR_BUSY, "of this very host");
    g_assert_cmpuint(dlk_fake_backend_calls(f->fake, DLK_FAKE_FENCE), ==, before);
    assert_removed(f, "alpha", 0); /* another host's is, beside it */
    engine_release(f, lease);
    assert_removed(f, own, 0); /* what an earlier life left */
}

static void
test_backend_that_cannot_says_why(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_fail(f->fake, DLK_FAKE_FENCE, DLK_ERROR_UNSUPPORTED, "go to the server");
    engine_assert_error(engine_ask_fence(f, "a.img", "alpha"), DLK_ERROR_UNSUPPORTED, "go to the server");
}

static void
test_storage_that_hangs_is_an_answer_in_time(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_hang(f->fake, DLK_FAKE_FENCE);
    engine_assert_error(engine_ask_fence(f, "a.img", "alpha"), DLK_ERROR_UNREACHABLE,
                        "whether host alpha is fenced is not known");
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 0);
    engine_settle(f);
}

static void
test_disk_that_the_policy_denies_is_not_touched(EngineFixture *f, gconstpointer data)
{
    engine_assert_error(engine_ask_fence(f, "a.img", "alpha"), DLK_ERROR_POLICY_DENIED, "never");
}

static void
test_disk_that_is_locked_on_this_host_alone_has_no_other_holder(EngineFixture *f, gconstpointer data)
{
    engine_assert_error(engine_ask_fence(f, "a.img", "alpha"), DLK_ERROR_UNSUPPORTED, "this host alone");
}

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    engine_add("/engine-fence/one-host", "[Rule one]\nbackend=fake;host\n",
               test_one_host_goes_and_others_stay);
    engine_add("/engine-fence/own-lease", "[Rule one]\nbackend=fake;host\n",
               test_what_a_lease_of_this_host_holds_is_not_fenced);
    engine_add("/engine-fence/cannot", "[Rule one]\nbackend=fake;host\n", test_backend_that_cannot_says_why);
    engine_add("/engine-fence/hangs", "[Rule one]\nbackend=fake;host\nunreachable-after=0.1\n",
               test_storage_that_hangs_is_an_answer_in_time);
    engine_add("/engine-fence/denied", "[Rule never]\ndeny=true\n",
               test_disk_that_the_policy_denies_is_not_touched);
    engine_add("/engine-fence/host-alone", "[Rule here]\nbackend=host\n",
               test_disk_that_is_locked_on_this_host_alone_has_no_other_holder);
    return g_test_run();
}
