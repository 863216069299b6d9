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
    engine_add("/engine-inspect/no-disk", NULL, test_what_is_no_disk_is_an_error);
    return g_test_run();
}
