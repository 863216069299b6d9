#include "base/event.h"

#include <string.h>

#define HEADER "-- "

/* MESSAGE_ID → the text of its entry. */
static GHashTable *
read_catalog(void)
{
    GHashTable *entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(SOURCE_DIR "/data/disklock.catalog", &text, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) parts = g_strsplit(text, "\n" HEADER, -1);
    for (guint i = 1; parts[i]; i++) {
        char *end = strchr(parts[i], '\n');

        g_assert_nonnull(end);
        g_assert_true(
            g_hash_table_insert(entries, g_strndup(parts[i], (gsize)(end - parts[i])), g_strdup(end)));
    }
    return entries;
}

static void
test_every_event_has_an_id_of_its_own(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < DLK_N_EVENTS; i++) {
        const char *id = dlk_event_message_id(i);

        g_assert_nonnull(id);
        g_assert_cmpuint(strlen(id), ==, 32);
        g_assert_cmpuint(strspn(id, "0123456789abcdef"), ==, 32);
        g_assert_true(g_hash_table_add(seen, (gpointer)id));
        g_assert_cmpint(dlk_event_level(i), !=, 0);
    }
}

static void
test_every_event_is_explained_in_the_catalog(void)
{
    g_autoptr(GHashTable) catalog = read_catalog();

    for (guint i = 0; i < DLK_N_EVENTS; i++)
        if (!g_hash_table_remove(catalog, dlk_event_message_id(i)))
            g_error("no text for %s", dlk_event_message_id(i));
    g_assert_cmpuint(g_hash_table_size(catalog), ==, 0); /* no text without an event */
}

static void
test_every_event_stands_in_the_table_of_the_documentation(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(SOURCE_DIR "/docs/operation.md", &text, NULL, NULL));
    for (guint i = 0; i < DLK_N_EVENTS; i++) {
        g_autofree char *row =
            g_strdup_printf("(?m)^\\| [^|]*\\b%s\\b[^|]*\\| %s \\|", dlk_event_message_id(i) + 30,
                            dlk_event_level(i) == G_LOG_LEVEL_WARNING   ? "4"
                            : dlk_event_level(i) == G_LOG_LEVEL_MESSAGE ? "5"
                                                                        : "6");

        if (!g_regex_match_simple(row, text, 0, 0))
            g_error("docs/operation.md has no row %s", row);
    }
}

/* Whoever is to do something is told what. */
static void
test_every_text_has_a_subject_and_says_what_to_do(void)
{
    g_autoptr(GHashTable) catalog = read_catalog();

    for (guint i = 0; i < DLK_N_EVENTS; i++) {
        const char *text = g_hash_table_lookup(catalog, dlk_event_message_id(i));

        g_assert_nonnull(strstr(text, "\nSubject: "));
        g_assert_nonnull(strstr(text, "\nDefined-By: disklock\n"));
        g_assert_nonnull(strstr(text, "\nDocumentation: man:"));
        if (dlk_event_level(i) == G_LOG_LEVEL_WARNING)
            g_assert_null(strstr(text, "There is nothing to do"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/event/ids", test_every_event_has_an_id_of_its_own);
    g_test_add_func("/event/catalog", test_every_event_is_explained_in_the_catalog);
    g_test_add_func("/event/documentation", test_every_event_stands_in_the_table_of_the_documentation);
    g_test_add_func("/event/what-to-do", test_every_text_has_a_subject_and_says_what_to_do);
    return g_test_run();
}
