#include "base/error.h"

#include <errno.h>
#include <string.h>

static void
test_every_code_has_a_bus_name_of_its_own(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint code = 0; code < DLK_N_ERRORS; code++) {
        const char *name = dlk_error_bus_name(code);
        g_assert_nonnull(name);
        g_assert_true(g_str_has_prefix(name, "org.disklock.DiskLock1.Error.") ||
                      g_str_has_prefix(name, "org.freedesktop.DBus.Error."));
        g_assert_true(g_hash_table_add(names, (char *)name));
    }
}

static void
test_bus_names_are_those_of_the_contract(void)
{
    g_assert_cmpstr(dlk_error_bus_name(DLK_ERROR_BUSY), ==, "org.disklock.DiskLock1.Error.Busy");
    g_assert_cmpstr(dlk_error_bus_name(DLK_ERROR_NOT_A_DISK), ==, "org.disklock.DiskLock1.Error.NotADisk");
    g_assert_cmpstr(dlk_error_bus_name(DLK_ERROR_BAD_POLICY), ==, "org.disklock.DiskLock1.Error.BadPolicy");
    g_assert_cmpstr(dlk_error_bus_name(DLK_ERROR_INVALID_ARGS), ==, "org.freedesktop.DBus.Error.InvalidArgs");
    g_assert_cmpstr(dlk_error_bus_name(DLK_ERROR_INTERACTION_REQUIRED), ==,
                    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
}

static void
test_errno_is_put_behind_the_text(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(
        dlk_set_error_errno(&error, DLK_ERROR_BACKEND_FAILED, ENOSPC, "Cannot write %s", "/srv/a%sb"));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_autofree char *expected = g_strdup_printf("Cannot write /srv/a%%sb: %s", g_strerror(ENOSPC));
    g_assert_cmpstr(error->message, ==, expected);
}

static void
test_nobody_need_ask_for_the_error(void)
{
    g_assert_false(dlk_set_error_errno(NULL, DLK_ERROR_BACKEND_FAILED, EIO, "Cannot read"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/every-code-has-a-bus-name-of-its-own", test_every_code_has_a_bus_name_of_its_own);
    g_test_add_func("/error/bus-names-are-those-of-the-contract", test_bus_names_are_those_of_the_contract);
    g_test_add_func("/error/errno-is-put-behind-the-text", test_errno_is_put_behind_the_text);
    g_test_add_func("/error/nobody-need-ask-for-the-error", test_nobody_need_ask_for_the_error);
    return g_test_run();
}
