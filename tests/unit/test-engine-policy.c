#include "engine-fixture.h"

#include <unistd.h>

/* What the policy and polkit have to say before a lock is taken. */

static void
test_rule_that_denies_is_named(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_POLICY_DENIED, "\"never\"");
    engine_assert_events(f, "");
}

static void
test_disk_that_no_rule_matches_is_denied(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_POLICY_DENIED, "\"no-rule\"");
}

static void
test_mode_that_the_rule_does_not_allow_is_refused(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_POLICY_DENIED, "mode shared");
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
}

static void
test_backend_must_be_among_the_rules(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_SHARED, "{'backend': <'host'>}", DLK_ERROR_POLICY_DENIED,
                   "backend host");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'backend': <'fcntl'>}");
    g_assert_cmpstr(lease->backend, ==, "fcntl");
}

static void
test_on_break_must_be_among_the_rules(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_SHARED, "{'on-break': <'exec'>}", DLK_ERROR_POLICY_DENIED,
                   "on-break exec");
}

static void
test_rules_own_on_break_is_the_default(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    g_assert_cmpint(lease->on_break, ==, DLK_ON_BREAK_PAUSE);
}

static void
test_strict_readers_tolerate_no_writer(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "is held read-only");
}

static void
test_new_policy_holds_for_new_leases_alone(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    DlkLease *old = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    const guint64 generation = dlk_engine_policy_generation(f->engine);

    engine_write_policy(f, "[Host]\nid=node7\n[Rule new]\nbackend=host\n[Limits]\nstring-length=32\n");
    dlk_engine_reload(f->engine, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(dlk_engine_policy_generation(f->engine), ==, generation + 1);
    g_assert_cmpstr(dlk_engine_host_id(f->engine), ==, "node7");
    g_assert_cmpuint(dlk_engine_limits(f->engine)->string_length, ==, 32);
    engine_assert_events(f, "acquired a.img\npolicy-changed\n");

    DlkLease *fresh = engine_acquire(f, "b.img", DLK_MODE_SHARED, NULL);
    g_assert_cmpstr(old->rule->name, ==, "test");
    g_assert_cmpstr(old->backend, ==, "fake");
    g_assert_cmpstr(fresh->rule->name, ==, "new");
    g_assert_cmpstr(fresh->backend, ==, "host");
}

static void
test_bad_policy_is_refused_whole_and_the_old_one_stays(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    const guint64 generation = dlk_engine_policy_generation(f->engine);

    engine_write_policy(f, "[Rule new]\nbackend=host\nmodes=all\n");
    g_assert_false(dlk_engine_reload(f->engine, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BAD_POLICY);
    g_assert_nonnull(strstr(error->message, "disklock.conf:3: "));
    g_assert_cmpuint(dlk_engine_policy_generation(f->engine), ==, generation);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    g_assert_cmpstr(lease->rule->name, ==, "test");
    engine_assert_events(f, "acquired a.img\n");
}

static void
test_engine_does_not_start_with_a_bad_policy(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    engine_write_policy(f, "nonsense\n");
    g_assert_null(dlk_engine_new(f->scratch.path, f->config, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BAD_POLICY);
}

static void
test_engine_does_not_start_where_the_tokens_cannot_be_read(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = scratch_folder(&f->scratch, "run");
    g_autofree char *mark = g_build_filename(folder, "token-mark", NULL);

    g_assert_true(g_file_set_contents(mark, "many", -1, NULL));
    g_assert_null(dlk_engine_new(folder, f->config, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, mark));
}

static void
test_host_has_an_id_without_being_told(EngineFixture *f, gconstpointer data)
{
    g_assert_cmpuint(strlen(dlk_engine_host_id(f->engine)), >, 0);
}

/* ---- who is not root, and polkit is not there ---- */

static void
test_who_is_not_root_gets_nothing_without_polkit(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller_of_pid(getuid(), ":1.2", getpid());

    caller->uid = 1000;
    engine_assert_error(engine_ask_as(f, caller, "a.img", DLK_MODE_READ_ONLY, NULL), DLK_ERROR_NOT_AUTHORIZED,
                        "org.disklock.disklock1.acquire");
    g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
}

static void
test_process_of_somebody_else_needs_a_word_of_its_own(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(1000, ":1.2", NULL);
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>}", (int)getpid());

    engine_assert_error(engine_ask_as(f, caller, "a.img", DLK_MODE_READ_ONLY, options),
                        DLK_ERROR_NOT_AUTHORIZED, "acquire-for-others");
    engine_assert_error(engine_ask_as(f, caller, "a.img", DLK_MODE_READ_ONLY, "{'on-break': <'kill'>}"),
                        DLK_ERROR_NOT_AUTHORIZED, "acquire-for-others");
}

static void
test_who_may_not_inspect_does_not_hear_who_is_in_the_way(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'owner': <'secret'>}");
    DlkCaller *root = f->root;

    engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'owner': <'secret'>}");
    f->root = engine_caller(1000, ":1.2", NULL);
    EngineAnswer *answer = engine_ask_convert(f, lease, DLK_MODE_EXCLUSIVE);
    engine_assert_error(answer, DLK_ERROR_BUSY, "in use by a lease of another user");
    g_assert_null(strstr(answer->error->message, "secret"));
    dlk_caller_unref(f->root);
    f->root = root;
}

#define ADD(name, policy, test) engine_add("/engine-policy/" name, policy, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("deny", "[Rule never]\nmatch-path=*\ndeny=true\n", test_rule_that_denies_is_named);
    ADD("no-rule", "[Rule elsewhere]\nmatch-path=/nonexistent/*\nbackend=fake\n",
        test_disk_that_no_rule_matches_is_denied);
    ADD("mode", "[Rule test]\nbackend=fake\nmodes=read-only\n",
        test_mode_that_the_rule_does_not_allow_is_refused);
    ADD("backend", "[Rule test]\nbackend=fake;fcntl\n", test_backend_must_be_among_the_rules);
    ADD("on-break", NULL, test_on_break_must_be_among_the_rules);
    ADD("on-break-default", ENGINE_POLICY "on-break=pause\n", test_rules_own_on_break_is_the_default);
    ADD("strict-readers", ENGINE_POLICY "readers=strict\n", test_strict_readers_tolerate_no_writer);
    ADD("reload", NULL, test_new_policy_holds_for_new_leases_alone);
    ADD("reload-bad", NULL, test_bad_policy_is_refused_whole_and_the_old_one_stays);
    ADD("start-bad", NULL, test_engine_does_not_start_with_a_bad_policy);
    ADD("start-without-tokens", NULL, test_engine_does_not_start_where_the_tokens_cannot_be_read);
    ADD("host-id", NULL, test_host_has_an_id_without_being_told);
    ADD("not-root", NULL, test_who_is_not_root_gets_nothing_without_polkit);
    ADD("for-others", NULL, test_process_of_somebody_else_needs_a_word_of_its_own);
    ADD("may-not-know", NULL, test_who_may_not_inspect_does_not_hear_who_is_in_the_way);
    return g_test_run();
}
