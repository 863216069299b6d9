#include "base/error.h"
#include "model/pr-in.h"

#include <string.h>

/* Two keys, generation 5. */
static const guint8 two_keys[] = {0, 0, 0, 5, 0, 0, 0, 16, 0x64, 0x6c, 1, 2,
                                  3, 4, 0, 2, 0, 0, 0, 0,  0,    0,    0, 9};
static const guint8 reservation[] = {0, 0, 0, 5, 0, 0, 0, 16, 0x64, 0x6c, 1, 2,
                                     3, 4, 0, 3, 0, 0, 0, 0,  0,    5,    0, 0};
/* What Linux's target says of two initiators. */
static const guint8 full_status[] = {
    0, 0, 0, 9, 0, 0, 0, 96,
    /* the holder, by SAS */
    0, 0, 0, 0, 0, 0, 0, 0x0b, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x18, 6, 0, 0, 0, 0x60, 0x01,
    0x40, 0x51, 0x11, 0x11, 0x11, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* another */
    0, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x18, 6, 0, 0, 0, 0x60, 0x01,
    0x40, 0x51, 0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static GArray *
read_keys(const guint8 *data, gsize length, guint32 *generation, gsize *needed)
{
    GArray *keys = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(dlk_pr_in_read_keys(data, length, generation, &keys, needed, &error));
    g_assert_no_error(error);
    return keys;
}

static void
test_keys_are_read_in_order(void)
{
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GArray) keys = read_keys(two_keys, sizeof two_keys, &generation, &needed);
    g_assert_cmpuint(generation, ==, 5);
    g_assert_cmpuint(needed, ==, sizeof two_keys);
    g_assert_cmpuint(keys->len, ==, 2);
    g_assert_cmphex(g_array_index(keys, guint64, 0), ==, 0x646c010203040002);
    g_assert_cmphex(g_array_index(keys, guint64, 1), ==, 9);
}

static void
test_an_answer_cut_short_says_how_much_room_it_needs(void)
{
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GArray) keys = read_keys(two_keys, 20, &generation, &needed);
    g_assert_cmpuint(needed, ==, sizeof two_keys);
    g_assert_cmpuint(keys->len, ==, 1);
}

static void
test_a_length_beyond_all_bounds_reads_nothing_that_is_not_there(void)
{
    const guint8 data[] = {0, 0, 0, 5, 0xff, 0xff, 0xff, 0xf8, 1, 2, 3, 4, 5, 6, 7, 8};
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GArray) keys = read_keys(data, sizeof data, &generation, &needed);
    g_assert_cmpuint(keys->len, ==, 1);
    g_assert_cmpuint(needed, ==, 0x100000000);
}

static void
assert_refused_keys(const guint8 *data, gsize length)
{
    GArray *keys = NULL;
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GError) error = NULL;
    g_assert_false(dlk_pr_in_read_keys(data, length, &generation, &keys, &needed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_null(keys);
}

static void
test_half_a_header_is_refused(void)
{
    assert_refused_keys(two_keys, 7);
    assert_refused_keys(two_keys, 0);
}

static void
test_half_a_key_is_refused(void)
{
    const guint8 data[] = {0, 0, 0, 5, 0, 0, 0, 4, 1, 2, 3, 4};
    assert_refused_keys(data, sizeof data);
}

static gboolean
read_reservation(const guint8 *data, gsize length, DlkPrType *type, guint64 *holder)
{
    guint32 generation = 0;
    g_autoptr(GError) error = NULL;
    const gboolean read = dlk_pr_in_read_reservation(data, length, &generation, type, holder, &error);
    g_assert_true(read == (error == NULL));
    return read;
}

static void
test_a_reservation_is_read(void)
{
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 0;
    g_assert_true(read_reservation(reservation, sizeof reservation, &type, &holder));
    g_assert_cmpint(type, ==, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_assert_cmphex(holder, ==, 0x646c010203040003);
}

static void
test_no_reservation_is_none(void)
{
    DlkPrType type = DLK_PR_EXCLUSIVE_ACCESS;
    guint64 holder = 1;
    const guint8 data[] = {0, 0, 0, 5, 0, 0, 0, 0};
    g_assert_true(read_reservation(data, sizeof data, &type, &holder));
    g_assert_cmpint(type, ==, DLK_PR_NONE);
    g_assert_cmphex(holder, ==, 0);
}

static void
test_a_reservation_of_all_has_no_holder(void)
{
    guint8 data[sizeof reservation];
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 1;
    memcpy(data, reservation, sizeof data);
    data[21] = 0x07;
    g_assert_true(read_reservation(data, sizeof data, &type, &holder));
    g_assert_cmpint(type, ==, DLK_PR_WRITE_EXCLUSIVE_ALL);
    g_assert_cmphex(holder, ==, 0);
}

static void
test_a_reservation_of_no_known_type_is_refused(void)
{
    guint8 data[sizeof reservation];
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 0;
    memcpy(data, reservation, sizeof data);
    data[21] = 0x02;
    g_assert_false(read_reservation(data, sizeof data, &type, &holder));
}

static void
test_a_reservation_that_is_too_short_is_refused(void)
{
    const guint8 data[] = {0, 0, 0, 5, 0, 0, 0, 4, 1, 2, 3, 4};
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 0;
    g_assert_false(read_reservation(data, sizeof data, &type, &holder));
}

static void
test_a_reservation_that_is_cut_short_does_not_read_as_none(void)
{
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 0;
    for (gsize length = 0; length < sizeof reservation; length++)
        g_assert_false(read_reservation(reservation, length, &type, &holder));
}

static void
test_capabilities_are_those_of_the_mask(void)
{
    const guint8 data[] = {0, 8, 0x11, 0x80, 0xa0, 0x01, 0, 0};
    guint types = 0;
    g_assert_true(dlk_pr_in_report_capabilities(data, sizeof data, &types, NULL));
    g_assert_cmphex(types, ==,
                    1U << DLK_PR_WRITE_EXCLUSIVE_ALL | 1U << DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS |
                        1U << DLK_PR_EXCLUSIVE_ACCESS_ALL);
}

static void
test_a_target_that_gives_no_mask_has_all_types(void)
{
    const guint8 data[] = {0, 8, 0x11, 0, 0, 0, 0, 0};
    guint types = 0;
    g_assert_true(dlk_pr_in_report_capabilities(data, sizeof data, &types, NULL));
    g_assert_true(types & 1U << DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_assert_true(types & 1U << DLK_PR_EXCLUSIVE_ACCESS_ALL);
}

static void
test_short_capabilities_are_refused(void)
{
    const guint8 data[] = {0, 8, 0x11, 0x80, 0xa0, 0x01, 0, 0}, short_inside[] = {0, 4, 0, 0, 0, 0, 0, 0};
    guint types = 0;
    g_assert_false(dlk_pr_in_report_capabilities(data, 7, &types, NULL));
    g_assert_false(dlk_pr_in_report_capabilities(short_inside, sizeof short_inside, &types, NULL));
}

static GPtrArray *
read_full_status(const guint8 *data, gsize length)
{
    GPtrArray *registrants = NULL;
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GError) error = NULL;
    const gboolean read =
        dlk_pr_in_read_full_status(data, length, &generation, &registrants, &needed, &error);
    g_assert_true(read == (error == NULL));
    return registrants;
}

static void
test_registrants_are_read_with_their_ports(void)
{
    g_autoptr(GPtrArray) registrants = read_full_status(full_status, sizeof full_status);
    g_assert_cmpuint(registrants->len, ==, 2);
    const DlkPrRegistrant *first = registrants->pdata[0], *second = registrants->pdata[1];
    g_assert_cmphex(first->key, ==, 0x0b);
    g_assert_true(first->holder);
    g_assert_cmpstr(first->initiator, ==, "naa.6001405111111112");
    g_assert_cmphex(second->key, ==, 0x0a);
    g_assert_false(second->holder);
    g_assert_cmpstr(second->initiator, ==, "naa.6001405111111111");
}

/* Cut at every byte: what is whole is read, and nothing else. */
static void
test_registrants_cut_short_are_those_that_are_whole(void)
{
    for (gsize length = 8; length < sizeof full_status; length++) {
        g_autofree guint8 *copy = g_memdup2(full_status, length);
        g_autoptr(GPtrArray) registrants = read_full_status(copy, length);
        g_assert_cmpuint(registrants->len, ==, length < 56 ? 0 : 1);
    }
}

static void
test_a_registrant_that_reaches_over_the_end_is_refused(void)
{
    guint8 data[sizeof full_status];
    memcpy(data, full_status, sizeof data);
    data[8 + 48 + 23] = 0x19;
    g_assert_null(read_full_status(data, sizeof data));
}

static void
assert_initiator(const guint8 *id, guint8 length, const char *expected)
{
    guint8 data[8 + 24 + 255] = {0};
    data[7] = 24 + length;
    data[8 + 23] = length;
    if (length > 0)
        memcpy(data + 32, id, length);
    g_autoptr(GPtrArray) registrants = read_full_status(data, 32U + length);
    const DlkPrRegistrant *only = registrants->pdata[0];
    g_assert_cmpstr(only->initiator, ==, expected);
}

static void
test_a_port_is_named_as_its_protocol_names_it(void)
{
    static const guint8 fibre_channel[24] = {0, [8] = 0x21, 0, 0, 0xe0, 0x8b, 5, 5, 4};
    static const guint8 srp[24] = {4, [8] = 0xfe, 0x80};
    guint8 iscsi[64] = {0x45, 0, 0, 60};
    assert_initiator(fibre_channel, sizeof fibre_channel, "naa.210000e08b050504");
    assert_initiator(srp, sizeof srp, "transport-id.0400000000000000fe800000000000000000000000000000");
    /* The same host, whatever its session. */
    strcpy((char *)iscsi + 4, "iqn.2004-01.example:host,i,0x00023d000001");
    assert_initiator(iscsi, sizeof iscsi, "iqn.2004-01.example:host");
    assert_initiator(NULL, 0, "");
}

/* "key@port key@port": who is registered. Is key 1 registered by the ports of key 2 alone? */
static gboolean
are_same(const char *registered)
{
    g_auto(GStrv) words = g_strsplit(registered, " ", -1);
    g_autoptr(GPtrArray) registrants = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_pr_registrant_free);
    for (guint i = 0; words[i] != NULL; i++) {
        DlkPrRegistrant *registrant = g_new0(DlkPrRegistrant, 1);
        registrant->key = (guint64)(words[i][0] - '0');
        registrant->initiator = g_strdup(words[i] + 2);
        g_ptr_array_add(registrants, registrant);
    }
    return dlk_pr_registrants_are_same(registrants, 1, 2);
}

static void
test_a_key_is_the_own_hosts_where_all_its_ports_are(void)
{
    g_assert_true(are_same("1@a 2@a"));
    g_assert_true(are_same("2@a 2@b 1@a 3@c 1@b"));
    g_assert_false(are_same("1@a 2@b"));
    g_assert_false(are_same("1@a 1@b 2@a"));
    g_assert_false(are_same("1@a"));
}

static void
test_what_a_target_does_not_tell_is_not_the_own_hosts(void)
{
    g_assert_false(are_same("2@a"));
    g_assert_false(are_same("2@a 3@a"));
    g_assert_false(are_same("1@ 2@"));
    g_assert_false(are_same("1@a 1@ 2@a 2@"));
}

static void
test_a_wild_name_is_made_harmless(void)
{
    guint8 iscsi[16] = {5, 0, 0, 12, 'i', '\n', 0x1b, 0xff};
    assert_initiator(iscsi, sizeof iscsi, "i\\x0a\\x1b\\xff");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pr-in/a-key-is-the-own-hosts-where-all-its-ports-are",
                    test_a_key_is_the_own_hosts_where_all_its_ports_are);
    g_test_add_func("/pr-in/what-a-target-does-not-tell-is-not-the-own-hosts",
                    test_what_a_target_does_not_tell_is_not_the_own_hosts);
    g_test_add_func("/pr-in/keys-are-read-in-order", test_keys_are_read_in_order);
    g_test_add_func("/pr-in/an-answer-cut-short-says-how-much-room-it-needs",
                    test_an_answer_cut_short_says_how_much_room_it_needs);
    g_test_add_func("/pr-in/a-length-beyond-all-bounds-reads-nothing-that-is-not-there",
                    test_a_length_beyond_all_bounds_reads_nothing_that_is_not_there);
    g_test_add_func("/pr-in/half-a-header-is-refused", test_half_a_header_is_refused);
    g_test_add_func("/pr-in/half-a-key-is-refused", test_half_a_key_is_refused);
    g_test_add_func("/pr-in/a-reservation-is-read", test_a_reservation_is_read);
    g_test_add_func("/pr-in/no-reservation-is-none", test_no_reservation_is_none);
    g_test_add_func("/pr-in/a-reservation-of-all-has-no-holder", test_a_reservation_of_all_has_no_holder);
    g_test_add_func("/pr-in/a-reservation-of-no-known-type-is-refused",
                    test_a_reservation_of_no_known_type_is_refused);
    g_test_add_func("/pr-in/a-reservation-that-is-too-short-is-refused",
                    test_a_reservation_that_is_too_short_is_refused);
    g_test_add_func("/pr-in/capabilities-are-those-of-the-mask", test_capabilities_are_those_of_the_mask);
    g_test_add_func("/pr-in/a-target-that-gives-no-mask-has-all-types",
                    test_a_target_that_gives_no_mask_has_all_types);
    g_test_add_func("/pr-in/a-reservation-that-is-cut-short-does-not-read-as-none",
                    test_a_reservation_that_is_cut_short_does_not_read_as_none);
    g_test_add_func("/pr-in/short-capabilities-are-refused", test_short_capabilities_are_refused);
    g_test_add_func("/pr-in/registrants-are-read-with-their-ports",
                    test_registrants_are_read_with_their_ports);
    g_test_add_func("/pr-in/registrants-cut-short-are-those-that-are-whole",
                    test_registrants_cut_short_are_those_that_are_whole);
    g_test_add_func("/pr-in/a-registrant-that-reaches-over-the-end-is-refused",
                    test_a_registrant_that_reaches_over_the_end_is_refused);
    g_test_add_func("/pr-in/a-port-is-named-as-its-protocol-names-it",
                    test_a_port_is_named_as_its_protocol_names_it);
    g_test_add_func("/pr-in/a-wild-name-is-made-harmless", test_a_wild_name_is_made_harmless);
    return g_test_run();
}
