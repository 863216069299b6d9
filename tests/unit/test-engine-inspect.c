#include "engine-fixture.h"

#include "other-process.h"

#include <fcntl.h>

static GVariant *
inspect(EngineFixture *f, const char *path)
{
    EngineAnswer *answer = engine_ask_inspect(f, path);

    engine_assert_good(answer);
    return answer->report;
}

static void
assert_says(GVariant *report, const char *key, const char *value)
{
    const char *text = NULL;

    g_assert_true(g_variant_lookup(report, key, "&s", &text));
    g_assert_cmpstr(text, ==, value);
}

/* The only element of the list @key. */
static GVariant *
only_one(GVariant *report, const char *key)
{
    g_autoptr(GVariant) list = g_variant_lookup_value(report, key, G_VARIANT_TYPE("aa{sv}"));

    g_assert_nonnull(list);
    g_assert_cmpuint(g_variant_n_children(list), ==, 1);
    return g_variant_get_child_value(list, 0);
}

static void
assert_none(GVariant *report, const char *key)
{
    g_autoptr(GVariant) list = g_variant_lookup_value(report, key, G_VARIANT_TYPE("aa{sv}"));

    g_assert_nonnull(list);
    g_assert_cmpuint(g_variant_n_children(list), ==, 0);
}

static void
test_free_disk(EngineFixture *f, gconstpointer data)
{
    GVariant *report = inspect(f, engine_image(f, "a.img"));

    assert_says(report, "path", engine_image(f, "a.img"));
    assert_says(report, "kind", "file");
    assert_says(report, "rule", "test");
    assert_says(report, "backend", "fake");
    assert_says(report, "state", "free");
    assert_none(report, "holders");
    assert_none(report, "foreign");
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
}

static void
test_held_disk_names_its_holder(EngineFixture *f, gconstpointer data)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, "{'owner': <'web01'>}");
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    g_autoptr(GVariant) holder = only_one(report, "holders");
    guint32 uid = 1, pid = 0;
    guint64 since = 0;
    gboolean this_host = FALSE;

    dlk_lease_id_format(&lease->id, id);
    assert_says(report, "state", "held");
    assert_says(report, "disk", lease->disk->id);
    assert_says(holder, "lease", id);
    assert_says(holder, "mode", "shared");
    assert_says(holder, "owner", "web01");
    assert_says(holder, "host", dlk_engine_host_id(f->engine));
    g_assert_true(g_variant_lookup(holder, "uid", "u", &uid) && uid == 0);
    g_assert_true(g_variant_lookup(holder, "pid", "u", &pid) && pid == (guint32)getpid());
    g_assert_true(g_variant_lookup(holder, "since", "t", &since) && since == (guint64)lease->acquired_at);
    g_assert_true(g_variant_lookup(holder, "this-host", "b", &this_host) && this_host);
}

static void
test_broken_lease_holds_nothing(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);

    g_assert_true(dlk_engine_break(f->engine, lease, f->root, "test", NULL));
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    assert_says(report, "state", "free");
    assert_none(report, "holders");
}

/* Another process that uses the image as QEMU does: it writes, and tolerates no other writer. */
static void
use_as_qemu(gconstpointer path)
{
    struct flock writes = {.l_type = F_RDLCK, .l_start = 101, .l_len = 1};
    struct flock alone = {.l_type = F_RDLCK, .l_start = 201, .l_len = 1};
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &writes) < 0 || fcntl(fd, F_OFD_SETLK, &alone) < 0)
        _exit(1);
}

static void
test_foreign_user_is_named(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) qemu = other_process_start("qemu-test", use_as_qemu, engine_image(f, "a.img"));
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    g_autoptr(GVariant) foreign = only_one(report, "foreign");
    guint32 pid = 0;
    gboolean writes = FALSE;

    assert_says(report, "state", "in-use");
    assert_says(foreign, "command", "qemu-test");
    assert_says(foreign, "what", "qemu");
    g_assert_true(g_variant_lookup(foreign, "pid", "u", &pid) && pid == (guint32)qemu.pid);
    g_assert_true(g_variant_lookup(foreign, "writes", "b", &writes) && writes);
}

static void
test_process_that_the_lease_is_for_is_no_foreigner(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) qemu = other_process_start("qemu-test", use_as_qemu, engine_image(f, "a.img"));
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>}", qemu.pid);

    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, options);
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    assert_says(report, "state", "held");
    assert_none(report, "foreign");
}

static void
test_process_of_a_lease_on_another_disk_is_a_foreigner(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) qemu = other_process_start("qemu-test", use_as_qemu, engine_image(f, "a.img"));
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>}", qemu.pid);

    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, options);
    assert_says(inspect(f, engine_image(f, "a.img")), "state", "in-use");
}

static void
test_disk_that_the_policy_denies_has_no_backend(EngineFixture *f, gconstpointer data)
{
    GVariant *report = inspect(f, engine_image(f, "a.img"));

    assert_says(report, "rule", "never");
    assert_says(report, "backend", "");
}

/* ---- other hosts ---- */

static DlkHolder *
holder_on(const char *host, DlkMode mode, gboolean confirmed)
{
    DlkHolder *holder = dlk_holder_new(mode);

    holder->host = g_ref_string_new(host);
    holder->host_name = g_ref_string_new("node7");
    holder->owner = g_ref_string_new("web01");
    holder->since = 1766000000000000;
    holder->confirmed = confirmed;
    return holder;
}

static void
add_holder_on(EngineFixture *f, const char *host, DlkMode mode, gboolean confirmed)
{
    g_autoptr(DlkHolder) holder = holder_on(host, mode, confirmed);

    dlk_fake_backend_add_holder(f->fake, holder);
}

static void
assert_available(GVariant *report, const char *expected)
{
    g_autofree const char **modes = NULL;

    g_assert_true(g_variant_lookup(report, "available", "^a&s", &modes));
    g_autofree char *joined = g_strjoinv(" ", (char **)modes);
    g_assert_cmpstr(joined, ==, expected);
}

static void
test_holder_on_another_host_is_named(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_SHARED, TRUE);
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    g_autoptr(GVariant) holder = only_one(report, "holders");
    gboolean this_host = TRUE, unconfirmed = TRUE;
    guint64 since = 0;

    assert_says(report, "state", "held-elsewhere");
    assert_available(report, "shared read-only");
    assert_says(holder, "host", "alpha");
    assert_says(holder, "host-name", "node7");
    assert_says(holder, "owner", "web01");
    assert_says(holder, "mode", "shared");
    g_assert_true(g_variant_lookup(holder, "since", "t", &since) && since == 1766000000000000);
    g_assert_true(g_variant_lookup(holder, "this-host", "b", &this_host) && !this_host);
    g_assert_true(g_variant_lookup(holder, "unconfirmed", "b", &unconfirmed) && !unconfirmed);
    g_assert_false(g_variant_lookup(holder, "lease", "&s", NULL));
    g_assert_false(g_variant_lookup(holder, "uid", "u", NULL));
}

static void
test_unconfirmed_record_leaves_a_disk_free(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_EXCLUSIVE, FALSE);
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    g_autoptr(GVariant) holder = only_one(report, "holders");
    gboolean unconfirmed = FALSE;

    assert_says(report, "state", "free");
    assert_available(report, "exclusive shared read-only");
    g_assert_true(g_variant_lookup(holder, "unconfirmed", "b", &unconfirmed) && unconfirmed);
}

static void
test_own_lease_is_not_named_twice(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    g_autoptr(DlkHolder) ours = holder_on(dlk_engine_host_id(f->engine), DLK_MODE_SHARED, TRUE);

    ours->lease = lease->id;
    dlk_fake_backend_add_holder(f->fake, ours);
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    assert_says(report, "state", "held");
    g_variant_unref(only_one(report, "holders"));
}

/* A forged record that uses the name of a lease of ours stays visible. */
static void
test_another_host_with_the_id_of_our_lease_is_named(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    g_autoptr(DlkHolder) theirs = holder_on("alpha", DLK_MODE_SHARED, TRUE);

    theirs->lease = lease->id;
    dlk_fake_backend_add_holder(f->fake, theirs);
    GVariant *report = inspect(f, engine_image(f, "a.img"));
    g_autoptr(GVariant) holders = g_variant_lookup_value(report, "holders", G_VARIANT_TYPE("aa{sv}"));
    g_assert_cmpuint(g_variant_n_children(holders), ==, 2);
}

static void
test_records_that_cannot_be_read_are_a_problem(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_fail(f->fake, DLK_FAKE_HOLDERS, DLK_ERROR_BACKEND_FAILED, "the lockspace is gone");
    GVariant *report = inspect(f, engine_image(f, "a.img"));

    assert_says(report, "state", "unknown");
    assert_says(report, "problem", "the lockspace is gone");
    assert_available(report, "");
}

static void
test_records_that_hang_end_with_the_deadline(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_hang(f->fake, DLK_FAKE_HOLDERS);
    engine_assert_error(engine_ask_inspect(f, engine_image(f, "a.img")), DLK_ERROR_UNREACHABLE, "a.img");
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 0);
    engine_settle(f);
}

/* ---- what the refused is told ---- */

static void
test_refusal_names_host_and_owner(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "beta", DLK_MODE_EXCLUSIVE, FALSE);
    add_holder_on(f, "alpha", DLK_MODE_EXCLUSIVE, TRUE);
    dlk_fake_backend_busy(f->fake, 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY,
                   "a.img is held exclusively by web01 on host node7 (alpha) since ");
}

static void
test_refusal_keeps_to_those_who_are_in_the_way(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_SHARED, TRUE);
    dlk_fake_backend_busy(f->fake, 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "locked by another host");
}

static void
test_refusal_labels_what_nobody_stands_for(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_EXCLUSIVE, FALSE);
    dlk_fake_backend_busy(f->fake, 1);
    engine_refused(
        f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY,
        "locked by another host; its records say: held exclusively by web01 on host node7 (alpha)");
    dlk_fake_backend_busy(f->fake, 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "(unconfirmed)");
}

static void
test_wait_in_vain_names_the_host(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_EXCLUSIVE, TRUE);
    dlk_fake_backend_busy(f->fake, 1000);
    engine_refused(f, "a.img", DLK_MODE_SHARED, "{'wait': <uint32 30>}", DLK_ERROR_TIMED_OUT,
                   "waited 0.0 s: ");
    engine_refused(f, "a.img", DLK_MODE_SHARED, "{'wait': <uint32 30>}", DLK_ERROR_TIMED_OUT,
                   "held exclusively by web01 on host node7");
}

/* The records took part in no decision: a lease is granted against what they say. */
static void
test_records_refuse_nobody(EngineFixture *f, gconstpointer data)
{
    add_holder_on(f, "alpha", DLK_MODE_EXCLUSIVE, TRUE);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_refusal_does_without_records_that_cannot_be_read(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_HOLDERS, DLK_ERROR_BACKEND_FAILED, "the lockspace is gone");
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "locked by another host");
}

static void
test_what_is_no_disk_is_an_error(EngineFixture *f, gconstpointer data)
{
    engine_assert_error(engine_ask_inspect(f, "a.img"), DLK_ERROR_INVALID_ARGS, "absolute");
    engine_assert_error(engine_ask_inspect(f, "/nonexistent"), DLK_ERROR_NOT_A_DISK, "/nonexistent");
    engine_assert_error(engine_ask_inspect(f, f->scratch.path), DLK_ERROR_NOT_A_DISK, "folder");
}

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    engine_add("/engine-inspect/free", NULL, test_free_disk);
    engine_add("/engine-inspect/held", NULL, test_held_disk_names_its_holder);
    engine_add("/engine-inspect/broken", NULL, test_broken_lease_holds_nothing);
    engine_add("/engine-inspect/foreign", NULL, test_foreign_user_is_named);
    engine_add("/engine-inspect/explained", NULL, test_process_that_the_lease_is_for_is_no_foreigner);
    engine_add("/engine-inspect/explained-elsewhere", NULL,
               test_process_of_a_lease_on_another_disk_is_a_foreigner);
    engine_add("/engine-inspect/denied", "[Rule never]\ndeny=true\n",
               test_disk_that_the_policy_denies_has_no_backend);
    engine_add("/engine-inspect/elsewhere", NULL, test_holder_on_another_host_is_named);
    engine_add("/engine-inspect/unconfirmed", NULL, test_unconfirmed_record_leaves_a_disk_free);
    engine_add("/engine-inspect/ours-once", NULL, test_own_lease_is_not_named_twice);
    engine_add("/engine-inspect/lease-id-of-ours", NULL, test_another_host_with_the_id_of_our_lease_is_named);
    engine_add("/engine-inspect/records-unreadable", NULL, test_records_that_cannot_be_read_are_a_problem);
    engine_add("/engine-inspect/records-hang", ENGINE_POLICY "unreachable-after=0.1\n",
               test_records_that_hang_end_with_the_deadline);
    engine_add("/engine-inspect/refusal", NULL, test_refusal_names_host_and_owner);
    engine_add("/engine-inspect/refusal-of-whom", NULL, test_refusal_keeps_to_those_who_are_in_the_way);
    engine_add("/engine-inspect/refusal-unconfirmed", NULL, test_refusal_labels_what_nobody_stands_for);
    engine_add("/engine-inspect/refusal-after-wait", NULL, test_wait_in_vain_names_the_host);
    engine_add("/engine-inspect/refusal-unreadable", NULL,
               test_refusal_does_without_records_that_cannot_be_read);
    engine_add("/engine-inspect/records-grant", NULL, test_records_refuse_nobody);
    engine_add("/engine-inspect/no-disk", NULL, test_what_is_no_disk_is_an_error);
    return g_test_run();
}
