#include "base/text.h"

#include <string.h>

static void
test_plain_and_foreign_words_are_clean(void)
{
    g_assert_true(dlk_text_is_clean(""));
    g_assert_true(dlk_text_is_clean("web 01 ~"));
    g_assert_true(dlk_text_is_clean("Größe 磁盘 💽"));
}

static void
test_control_characters_are_not_clean(void)
{
    static const char *const texts[] = {"\n",       "a\tb",        "\x1b[31m", "\x7f",
                                        "\xc2\x80", "\xc2\x9b;1m", "\xc2\x9f"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_false(dlk_text_is_clean(texts[i]));
}

static void
test_line_separators_are_not_clean(void)
{
    g_assert_false(dlk_text_is_clean("a\u2028b"));
    g_assert_false(dlk_text_is_clean("a\u2029b"));
}

static void
test_broken_utf8_is_not_clean(void)
{
    /* Overlong, cut short, a surrogate, beyond Unicode, a lone continuation byte. */
    static const char *const texts[] = {"\xc0\xaf",         "a\xe2\x82", "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80", "\x80",      "\xff"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_false(dlk_text_is_clean(texts[i]));
}

static void
assert_printable(const char *text, gsize max_bytes, const char *expected)
{
    g_autofree char *printable = dlk_text_printable(text, max_bytes);
    g_assert_cmpstr(printable, ==, expected);
}

static void
test_clean_text_is_printed_as_it_is(void)
{
    assert_printable("", 0, "");
    assert_printable("Größe 磁盘", 0, "Größe 磁盘");
}

static void
test_every_other_byte_is_written_in_hex(void)
{
    assert_printable("a\nb", 0, "a\\x0ab");
    assert_printable("\x1b[31m", 0, "\\x1b[31m");
    assert_printable("\xc2\x9bx", 0, "\\xc2\\x9bx");
    assert_printable("a\u2028", 0, "a\\xe2\\x80\\xa8");
    assert_printable("\xe2\x82", 0, "\\xe2\\x82");
    assert_printable("\xffü", 0, "\\xffü");
}

static void
test_what_is_too_long_is_cut_within_the_bound(void)
{
    assert_printable("abcdefgh", 8, "abcdefgh");
    assert_printable("abcdefghi", 8, "abcde…");
    assert_printable("abcdü", 6, "abcdü");
    assert_printable("abüüü", 7, "abü…");
    assert_printable("\n\n\n", 8, "\\x0a…");
}

static void
test_random_bytes_become_clean_and_short(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(4711);
    char text[64];
    for (guint round = 0; round < 20000; round++) {
        const gsize length = (gsize)g_rand_int_range(random, 0, sizeof text);
        for (gsize i = 0; i < length; i++)
            text[i] = (char)g_rand_int_range(random, 1, 256);
        text[length] = '\0';
        const gsize bound = (gsize)g_rand_int_range(random, 3, 100);
        g_autofree char *printable = dlk_text_printable(text, bound);
        g_assert_true(dlk_text_is_clean(printable));
        g_assert_cmpuint(strlen(printable), <=, bound);
    }
}

static void
test_time_is_local_and_readable(void)
{
    const gint64 when = 1764000000 * G_GINT64_CONSTANT(1000000);
    g_autoptr(GDateTime) local = g_date_time_new_from_unix_local(1764000000);
    g_autofree char *expected = g_date_time_format(local, "%Y-%m-%d %H:%M:%S");
    g_autofree char *text = dlk_text_time(when + 999999);
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpuint(strlen(text), ==, strlen("2026-11-23 14:10:05"));
}

static void
test_a_time_beyond_the_calendar_is_a_number(void)
{
    g_autofree char *text = dlk_text_time(G_MAXINT64);
    g_assert_cmpstr(text, ==, "9223372036854 s");
}

static void
test_shared_text_is_there_once(void)
{
    g_autofree char *copy = g_strdup("ext4");
    GRefString *one = dlk_text_share("ext4"), *same = dlk_text_share(copy), *other = dlk_text_share("xfs");

    g_assert_true(one == same);
    g_assert_cmpstr(other, ==, "xfs");
    g_ref_string_release(one);
    g_assert_cmpstr(same, ==, "ext4");
    g_ref_string_release(same);
    g_ref_string_release(other);
}

/* Also where the last one that anybody has is given up at that moment: run by many threads. */
static gpointer
share_and_release(gpointer data)
{
    for (guint i = 0; i < 100000; i++) {
        char text[16];

        g_snprintf(text, sizeof text, "%u", i / 100 % 40);
        GRefString *shared = dlk_text_share(text);
        g_assert_cmpstr(shared, ==, text);
        g_ref_string_release(shared);
    }
    return NULL;
}

static void
test_shared_text_may_be_asked_for_while_it_is_given_up(void)
{
    GThread *threads[4];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("share", share_and_release, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

#define ADD(name) g_test_add_func("/text/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(plain_and_foreign_words_are_clean);
    ADD(control_characters_are_not_clean);
    ADD(line_separators_are_not_clean);
    ADD(broken_utf8_is_not_clean);
    ADD(clean_text_is_printed_as_it_is);
    ADD(every_other_byte_is_written_in_hex);
    ADD(what_is_too_long_is_cut_within_the_bound);
    ADD(random_bytes_become_clean_and_short);
    ADD(time_is_local_and_readable);
    ADD(a_time_beyond_the_calendar_is_a_number);
    ADD(shared_text_is_there_once);
    ADD(shared_text_may_be_asked_for_while_it_is_given_up);
    return g_test_run();
}
