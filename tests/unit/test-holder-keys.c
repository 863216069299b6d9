#include "model/holder-keys.h"
#include "model/pr-key.h"

static GPtrArray *
holders_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
}

static DlkHolder *
add_key(GPtrArray *holders, guint64 key)
{
    DlkHolder *holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    holder->key = key;
    holder->confirmed = TRUE;
    g_ptr_array_add(holders, holder);
    return holder;
}

static DlkHolder *
add_record(GPtrArray *holders, const char *host, const char *owner, gboolean confirmed)
{
    DlkHolder *holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    g_autofree char *name = g_strconcat(host, ".example", NULL);
    holder->host = g_ref_string_new(host);
    holder->host_name = g_ref_string_new(name);
    holder->owner = g_ref_string_new(owner);
    holder->confirmed = confirmed;
    g_ptr_array_add(holders, holder);
    return holder;
}

static void
test_a_key_and_the_confirmed_record_of_its_host_are_told_as_one(void)
{
    g_autoptr(GPtrArray) holders = holders_new();
    const guint64 key = dlk_pr_key_make("alpha", 3, TRUE);
    add_key(holders, key);
    add_record(holders, "alpha", "old", FALSE);
    add_record(holders, "alpha", "web01", TRUE);
    dlk_holders_name_keys(holders);
    g_assert_cmpuint(holders->len, ==, 2);
    const DlkHolder *left = holders->pdata[0], *named = holders->pdata[1];
    g_assert_cmpstr(left->owner, ==, "old");
    g_assert_cmpstr(named->owner, ==, "web01");
    g_assert_cmpuint(named->key, ==, key);
    g_assert_true(named->confirmed);
}

static void
test_a_record_that_is_not_confirmed_lends_its_name_alone(void)
{
    g_autoptr(GPtrArray) holders = holders_new();
    add_record(holders, "alpha", "old", FALSE);
    add_key(holders, dlk_pr_key_make("alpha", 3, TRUE));
    dlk_holders_name_keys(holders);
    g_assert_cmpuint(holders->len, ==, 2);
    const DlkHolder *record = holders->pdata[0], *named = holders->pdata[1];
    g_assert_false(record->confirmed);
    g_assert_cmpstr(named->host, ==, "alpha");
    g_assert_cmpstr(named->host_name, ==, "alpha.example");
    g_assert_null(named->owner);
    g_assert_true(named->confirmed);
}

static void
test_a_key_of_nobody_that_is_known_stays_a_key(void)
{
    g_autoptr(GPtrArray) holders = holders_new();
    add_key(holders, 0x1234);
    add_key(holders, dlk_pr_key_make("beta", 3, TRUE));
    add_record(holders, "alpha", "web01", TRUE);
    dlk_holders_name_keys(holders);
    g_assert_cmpuint(holders->len, ==, 3);
    for (guint i = 0; i < 2; i++)
        g_assert_null(((const DlkHolder *)holders->pdata[i])->host);
    g_assert_cmpuint(((const DlkHolder *)holders->pdata[2])->key, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/holder-keys/a-key-and-the-confirmed-record-of-its-host-are-told-as-one",
                    test_a_key_and_the_confirmed_record_of_its_host_are_told_as_one);
    g_test_add_func("/holder-keys/a-record-that-is-not-confirmed-lends-its-name-alone",
                    test_a_record_that_is_not_confirmed_lends_its_name_alone);
    g_test_add_func("/holder-keys/a-key-of-nobody-that-is-known-stays-a-key",
                    test_a_key_of_nobody_that_is_known_stays_a_key);
    return g_test_run();
}
