#include "base/error.h"
#include "model/lease.h"

#include <string.h>

static void
test_id_leads_to_text_and_back(void)
{
    const DlkLeaseId id = {0x0123456789abcdef, 0x00000000000000f0};
    char text[DLK_LEASE_ID_LENGTH + 1];
    DlkLeaseId parsed;

    dlk_lease_id_format(&id, text);
    g_assert_cmpstr(text, ==, "0123456789abcdef00000000000000f0");
    g_assert_true(dlk_lease_id_parse(text, &parsed));
    g_assert_true(dlk_lease_id_equal(&id, &parsed));
    g_assert_cmpuint(dlk_lease_id_hash(&id), ==, dlk_lease_id_hash(&parsed));
}

static void
test_text_that_is_no_id_is_refused(void)
{
    static const char *const texts[] = {
        "",
        "0123456789abcdef0123456789abcde",   /* one too few */
        "0123456789abcdef0123456789abcdef0", /* one too many */
        "0123456789ABCDEF0123456789abcdef",  /* upper case */
        "0123456789abcdef0123456789abcdeg",
        "g123456789abcdef0123456789abcdef",
        "0x23456789abcdef0123456789abcdef",
        " 123456789abcdef0123456789abcdef",
        "-123456789abcdef0123456789abcdef",
        "../3456789abcdef0123456789abcdef",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        DlkLeaseId id;

        g_test_message("%s", texts[i]);
        g_assert_false(dlk_lease_id_parse(texts[i], &id));
    }
}

static void
test_ids_differ_in_either_half(void)
{
    const DlkLeaseId a = {1, 2}, b = {2, 2}, c = {1, 3};

    g_assert_false(dlk_lease_id_equal(&a, &b));
    g_assert_false(dlk_lease_id_equal(&a, &c));
}

static void
test_random_ids_are_random_in_every_bit(void)
{
    enum {
        N = 1000
    };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(dlk_lease_id_hash, dlk_lease_id_equal, g_free, NULL);
    DlkLeaseId ones = {0}, zeros = {0};

    for (guint i = 0; i < N; i++) {
        DlkLeaseId *id = g_new0(DlkLeaseId, 1);

        dlk_lease_id_random(id);
        ones.high |= id->high;
        ones.low |= id->low;
        zeros.high |= ~id->high;
        zeros.low |= ~id->low;
        g_assert_true(g_hash_table_add(seen, id));
    }
    /* That one bit stays the same 1,000 times by chance does not happen. */
    g_assert_cmphex(ones.high & ones.low & zeros.high & zeros.low, ==, G_MAXUINT64);
}

static void
test_states_are_the_words_of_the_contract(void)
{
    static const char *const words[DLK_N_STATES] = {"active", "suspended", "at-risk", "broken"};

    for (guint i = 0; i < DLK_N_STATES; i++) {
        g_autoptr(GError) error = NULL;
        DlkLeaseState state = DLK_N_STATES;

        g_assert_cmpstr(dlk_lease_state_to_string(i), ==, words[i]);
        dlk_lease_state_from_string(words[i], &state, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(state, ==, i);
    }
}

static void
test_unknown_state_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    DlkLeaseState state;

    g_assert_false(dlk_lease_state_from_string("Active\n", &state, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_nonnull(strstr(error->message, "active, suspended, at-risk or broken"));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_legal_steps_are_these_alone(void)
{
    /* Row: from; column: to, in the order active, suspended, at-risk, broken. */
    static const char *const legal[DLK_N_STATES] = {"-sab", "a--b", "as-b", "----"};

    for (guint from = 0; from < DLK_N_STATES; from++) {
        for (guint to = 0; to < DLK_N_STATES; to++) {
            g_test_message("%s to %s", dlk_lease_state_to_string(from), dlk_lease_state_to_string(to));
            g_assert_cmpint(dlk_lease_state_may_follow(from, to), ==, legal[from][to] != '-');
        }
    }
}

static void
test_new_lease_is_active_and_named(void)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    g_autoptr(DlkLease) lease = dlk_lease_new(disk, rule, DLK_MODE_SHARED);
    g_autoptr(DlkLease) other = dlk_lease_new(disk, rule, DLK_MODE_SHARED);

    g_assert_cmpint(lease->phase, ==, DLK_PHASE_NEW);
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
    g_assert_cmpint(lease->mode, ==, DLK_MODE_SHARED);
    g_assert_cmpuint(lease->token, ==, 0);
    g_assert_false(dlk_lease_id_equal(&lease->id, &other->id));
}

static void
test_path_that_is_the_disks_own_is_kept_once(void)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    DlkLease *lease = dlk_lease_new(disk, rule, DLK_MODE_EXCLUSIVE);
    DlkLease *other = dlk_lease_new(disk, rule, DLK_MODE_EXCLUSIVE);

    disk->path = g_strdup("/images/a.img");
    dlk_lease_take_path(lease, g_strdup("/images/a.img"));
    dlk_lease_take_path(other, g_strdup("/link.img"));
    g_assert_true(lease->path == disk->path);
    g_assert_cmpstr(other->path, ==, "/link.img");
    dlk_lease_unref(lease);
    dlk_lease_unref(other);
    g_assert_cmpstr(disk->path, ==, "/images/a.img");
}

static void
test_lease_lives_as_long_as_its_last_reference(void)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    DlkLease *lease = dlk_lease_new(disk, rule, DLK_MODE_EXCLUSIVE);

    lease->owner = g_ref_string_new("web01");
    lease->owner_uuid = g_ref_string_new("6c0ba7f3-0c0f-4ad2-8b50-6f6ba3f2a3b1");
    lease->why = g_ref_string_new("the start of web01");
    dlk_lease_take_path(lease, g_strdup("/a.img"));
    lease->broken_reason = g_strdup("deleted");
    g_assert_true(dlk_lease_ref(lease) == lease);
    dlk_lease_unref(lease);
    g_assert_cmpstr(lease->owner, ==, "web01");
    dlk_lease_unref(lease);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lease/id-leads-to-text-and-back", test_id_leads_to_text_and_back);
    g_test_add_func("/lease/text-that-is-no-id-is-refused", test_text_that_is_no_id_is_refused);
    g_test_add_func("/lease/ids-differ-in-either-half", test_ids_differ_in_either_half);
    g_test_add_func("/lease/random-ids-are-random-in-every-bit", test_random_ids_are_random_in_every_bit);
    g_test_add_func("/lease/states-are-the-words-of-the-contract", test_states_are_the_words_of_the_contract);
    g_test_add_func("/lease/unknown-state-is-refused", test_unknown_state_is_refused);
    g_test_add_func("/lease/legal-steps-are-these-alone", test_legal_steps_are_these_alone);
    g_test_add_func("/lease/new-lease-is-active-and-named", test_new_lease_is_active_and_named);
    g_test_add_func("/lease/lives-as-long-as-its-last-reference",
                    test_lease_lives_as_long_as_its_last_reference);
    g_test_add_func("/lease/path-kept-once", test_path_that_is_the_disks_own_is_kept_once);
    return g_test_run();
}
