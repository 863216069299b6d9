#include "model/holder-record.h"

#include "base/text.h"

#include <string.h>

/* A record of everything that one can say. */
static DlkHolder *
full_holder(void)
{
    DlkHolder *holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    holder->host = g_ref_string_new("alpha");
    holder->host_name = g_ref_string_new("node7.example");
    holder->owner = g_ref_string_new("web 01=100% größer");
    holder->owner_uuid = g_ref_string_new("7c0ed3ee-7aa5-4f4e-9f76-5d8d7f5ef1a3");
    holder->lease = (DlkLeaseId){0x0123456789abcdef, 0xfedcba9876543210};
    holder->since = 1766000000000001;
    holder->uid = 64055;
    holder->pid = 4711;
    return holder;
}

static DlkHolder *
parse(const char *text)
{
    return dlk_holder_record_parse(text, strlen(text));
}

/* @words as a record whose checksum is right, as anybody may make one. */
static char *
forge(const char *words)
{
    g_autofree char *line = g_strconcat("disklock-holder 1 ", words, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, line, -1);
    return g_strdup_printf("%s sum=%.16s\n", line, sum);
}

static void
assert_refused(const char *words)
{
    g_autofree char *line = forge(words);
    g_autoptr(DlkHolder) holder = parse(line);
    g_test_message("%s", line);
    g_assert_null(holder);
}

static void
test_a_record_says_all_that_was_written(void)
{
    g_autoptr(DlkHolder) written = full_holder();
    g_autofree char *line = dlk_holder_record_format(written, DLK_MODE_SHARED, 0xd15c0000000000a1);
    g_autoptr(DlkHolder) read = parse(line);
    g_assert_nonnull(read);
    g_assert_cmpstr(read->host, ==, written->host);
    g_assert_cmpstr(read->host_name, ==, written->host_name);
    g_assert_cmpstr(read->owner, ==, written->owner);
    g_assert_cmpstr(read->owner_uuid, ==, written->owner_uuid);
    g_assert_true(dlk_lease_id_equal(&read->lease, &written->lease));
    g_assert_cmpint(read->mode, ==, DLK_MODE_SHARED);
    g_assert_cmpint(read->since, ==, written->since);
    g_assert_cmpuint(read->uid, ==, 64055);
    g_assert_cmpint(read->pid, ==, 4711);
    g_assert_cmphex(read->key, ==, 0xd15c0000000000a1);
    g_assert_false(read->confirmed);
}

static void
test_a_record_is_one_line_of_clean_text(void)
{
    g_autoptr(DlkHolder) holder = full_holder();
    g_autofree char *line = dlk_holder_record_format(holder, DLK_MODE_EXCLUSIVE, 0);
    g_assert_true(g_str_has_suffix(line, "\n"));
    line[strlen(line) - 1] = '\0';
    g_assert_true(dlk_text_is_clean(line));
}

static void
test_long_names_are_cut_and_the_record_keeps_its_bound(void)
{
    g_autofree char *percents = g_strnfill(5000, '%');
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_READ_ONLY);
    holder->host = g_ref_string_new(percents);
    holder->host_name = g_ref_string_new(percents);
    holder->owner = g_ref_string_new(percents);
    holder->owner_uuid = g_ref_string_new(percents);
    holder->since = G_MAXINT64;
    g_autofree char *line = dlk_holder_record_format(holder, DLK_MODE_READ_ONLY, G_MAXUINT64);
    g_assert_cmpuint(strlen(line), <=, DLK_HOLDER_RECORD_MAX);
    g_autoptr(DlkHolder) read = parse(line);
    g_assert_nonnull(read);
    g_assert_true(g_str_has_prefix(read->owner, "%%%%"));
}

static void
test_a_torn_record_is_none(void)
{
    g_autoptr(DlkHolder) holder = full_holder();
    g_autofree char *line = dlk_holder_record_format(holder, DLK_MODE_EXCLUSIVE, 0);
    const gsize length = strlen(line);
    for (gsize cut = 0; cut < length; cut++)
        g_assert_null(dlk_holder_record_parse(line, cut));
}

static void
test_a_record_with_one_bit_changed_is_none(void)
{
    g_autoptr(DlkHolder) holder = full_holder();
    g_autofree char *line = dlk_holder_record_format(holder, DLK_MODE_EXCLUSIVE, 0);
    const gsize length = strlen(line);
    for (gsize i = 0; i < length; i++) {
        line[i] ^= 1;
        g_assert_null(dlk_holder_record_parse(line, length));
        line[i] ^= 1;
    }
}

static void
test_what_is_no_record_is_none(void)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "disklock-holder 1 ",
                                        "disklock-holder 2 host=a mode=shared\n",
                                        "disklock-holder 1  sum=0123456789abcdef\n",
                                        "ELF"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_null(parse(texts[i]));
    g_autofree char *zeros = g_malloc0(4096);
    g_assert_null(dlk_holder_record_parse(zeros, 4096));
}

static void
test_a_well_summed_record_with_impossible_values_is_none(void)
{
    assert_refused("mode=exclusive");                               /* of no host */
    assert_refused("host=alpha");                                   /* in no mode */
    assert_refused("host= mode=exclusive");                         /* an empty host */
    assert_refused("host=alpha host=beta mode=exclusive");          /* two hosts */
    assert_refused("host=a%0Ab mode=exclusive");                    /* a line break in a name */
    assert_refused("host=a%00b mode=exclusive");                    /* an end of text in a name */
    assert_refused("host=%ff mode=exclusive");                      /* not UTF-8 */
    assert_refused("host=alpha mode=all");                          /* a mode that does not exist */
    assert_refused("host=alpha mode=shared lease=12");              /* half a lease */
    assert_refused("host=alpha mode=shared since=-1");              /* before time */
    assert_refused("host=alpha mode=shared uid=4294967296");        /* too large */
    assert_refused("host=alpha mode=shared pid=99999999999");       /* likewise */
    assert_refused("host=alpha mode=shared key=12345678901234567"); /* likewise */
    assert_refused("host=alpha  mode=shared");                      /* a word that says nothing */
    assert_refused("host=alpha mode=shared owner");                 /* likewise */
}

static void
test_a_host_name_longer_than_any_is_no_record(void)
{
    g_autofree char *name = g_strnfill(200, 'a');
    g_autofree char *words = g_strdup_printf("host=%s mode=shared", name);
    assert_refused(words);
}

static void
test_keys_of_a_later_version_are_passed_over(void)
{
    g_autofree char *line = forge("host=alpha colour=blue mode=read-only");
    g_autoptr(DlkHolder) holder = parse(line);
    g_assert_nonnull(holder);
    g_assert_cmpstr(holder->host, ==, "alpha");
    g_assert_cmpint(holder->mode, ==, DLK_MODE_READ_ONLY);
    g_assert_cmpuint(holder->uid, ==, DLK_HOLDER_NO_UID);
}

/* ---- for people ---- */

static void
assert_described(const DlkHolder *holder, const char *expected)
{
    g_autofree char *text = dlk_holder_describe(holder);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_a_sentence_names_what_is_known(void)
{
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_SHARED);
    assert_described(holder, "held shared by another host, which left no record of itself (unconfirmed)");
    holder->confirmed = TRUE;
    holder->key = 0xabc;
    assert_described(holder, "held shared by the host with the reservation key 0xabc");
    holder->host = g_ref_string_new("alpha");
    assert_described(holder, "held shared by host alpha");
    holder->host_name = g_ref_string_new("node7");
    holder->owner = g_ref_string_new("web01");
    assert_described(holder, "held shared by web01 on host node7 (alpha)");
}

#define ADD(name) g_test_add_func("/holder-record/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(a_record_says_all_that_was_written);
    ADD(a_record_is_one_line_of_clean_text);
    ADD(long_names_are_cut_and_the_record_keeps_its_bound);
    ADD(a_torn_record_is_none);
    ADD(a_record_with_one_bit_changed_is_none);
    ADD(what_is_no_record_is_none);
    ADD(a_well_summed_record_with_impossible_values_is_none);
    ADD(a_host_name_longer_than_any_is_no_record);
    ADD(keys_of_a_later_version_are_passed_over);
    ADD(a_sentence_names_what_is_known);
    return g_test_run();
}
