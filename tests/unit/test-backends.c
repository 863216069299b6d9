#include "backend/backends.h"
#include "backend/fake.h"

static void
test_names_end_and_can_all_be_got(void)
{
    const char *const *names = dlk_backends_names();
    for (guint i = 0; names[i] != NULL; i++) {
        DlkBackend *backend = dlk_backends_get(names[i]);
        g_assert_nonnull(backend);
        g_assert_cmpstr(dlk_backend_name(backend), ==, names[i]);
    }
    g_assert_true(g_strv_contains(names, "fcntl"));
    g_assert_true(g_strv_contains(names, "host"));
}

static void
test_unknown_name_is_no_backend(void)
{
    g_assert_null(dlk_backends_get("sanlock"));
    g_assert_null(dlk_backends_get(""));
}

static void
test_same_name_is_the_same_object(void)
{
    g_assert_true(dlk_backends_get("fcntl") == dlk_backends_get("fcntl"));
}

static void
test_added_backend_is_found(void)
{
    DlkBackend *fake = DLK_BACKEND(dlk_fake_backend_new());
    g_assert_false(g_strv_contains(dlk_backends_names(), "fake"));
    dlk_backends_add(fake);
    g_assert_true(g_strv_contains(dlk_backends_names(), "fake"));
    g_assert_true(dlk_backends_get("fake") == fake);
}

static void
test_only_the_host_backend_stops_at_this_host(void)
{
    g_assert_false(DLK_BACKEND_GET_CLASS(dlk_backends_get("host"))->reaches_other_hosts);
    g_assert_true(DLK_BACKEND_GET_CLASS(dlk_backends_get("fcntl"))->reaches_other_hosts);
}

static void
test_host_backend_takes_every_kind_of_disk(void)
{
    DlkBackend *host = dlk_backends_get("host");
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    for (DlkKind kind = 0; kind < DLK_N_KINDS; kind++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) disk = dlk_disk_new(kind, "other:1");
        g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
        g_autoptr(DlkHold) hold = dlk_hold_new(host, target, DLK_MODE_EXCLUSIVE, FALSE, 0);
        g_autofree char *reason = NULL;
        g_assert_true(dlk_backend_probe(host, target, rule, &error));
        g_assert_true(dlk_backend_acquire(host, hold, rule, &error));
        g_assert_cmpint((gint)dlk_backend_check(host, hold, &reason), ==, (gint)DLK_CHECK_HELD);
        g_assert_true(dlk_backend_convert(host, hold, DLK_MODE_SHARED, &error));
        g_assert_cmpint((gint)hold->mode, ==, (gint)DLK_MODE_SHARED);
        g_assert_true(dlk_backend_release(host, hold, &error));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backends/names-end-and-can-all-be-got", test_names_end_and_can_all_be_got);
    g_test_add_func("/backends/unknown-name-is-no-backend", test_unknown_name_is_no_backend);
    g_test_add_func("/backends/same-name-is-the-same-object", test_same_name_is_the_same_object);
    g_test_add_func("/backends/added-backend-is-found", test_added_backend_is_found);
    g_test_add_func("/backends/only-the-host-backend-stops-at-this-host",
                    test_only_the_host_backend_stops_at_this_host);
    g_test_add_func("/backends/host-backend-takes-every-kind-of-disk",
                    test_host_backend_takes_every_kind_of_disk);
    return g_test_run();
}
