#include "base/error.h"
#include "model/mode.h"

#include <string.h>

typedef struct {
    DlkMode a, b;
    gboolean together, strict; /* do they conflict where readers tolerate writers, and where they do not? */
} Pair;

/* The whole matrix: no pair is derived from another. */
static const Pair matrix[] = {
    {DLK_MODE_EXCLUSIVE, DLK_MODE_EXCLUSIVE, TRUE, TRUE},
    {DLK_MODE_EXCLUSIVE, DLK_MODE_SHARED, TRUE, TRUE},
    {DLK_MODE_EXCLUSIVE, DLK_MODE_READ_ONLY, TRUE, TRUE},
    {DLK_MODE_SHARED, DLK_MODE_EXCLUSIVE, TRUE, TRUE},
    {DLK_MODE_SHARED, DLK_MODE_SHARED, FALSE, FALSE},
    {DLK_MODE_SHARED, DLK_MODE_READ_ONLY, FALSE, TRUE},
    {DLK_MODE_READ_ONLY, DLK_MODE_EXCLUSIVE, TRUE, TRUE},
    {DLK_MODE_READ_ONLY, DLK_MODE_SHARED, FALSE, TRUE},
    {DLK_MODE_READ_ONLY, DLK_MODE_READ_ONLY, FALSE, FALSE},
};

static void
test_conflicts_are_those_of_the_matrix(void)
{
    g_assert_cmpuint(G_N_ELEMENTS(matrix), ==, DLK_N_MODES * DLK_N_MODES);
    for (guint i = 0; i < G_N_ELEMENTS(matrix); i++) {
        const Pair *pair = &matrix[i];

        g_test_message("%s beside %s", dlk_mode_to_string(pair->a), dlk_mode_to_string(pair->b));
        g_assert_cmpint(dlk_mode_conflicts(pair->a, pair->b, FALSE), ==, pair->together);
        g_assert_cmpint(dlk_mode_conflicts(pair->a, pair->b, TRUE), ==, pair->strict);
    }
}

static void
test_words_lead_there_and_back(void)
{
    for (guint i = 0; i < DLK_N_MODES; i++) {
        g_autoptr(GError) error = NULL;
        DlkMode mode = DLK_N_MODES;

        dlk_mode_from_string(dlk_mode_to_string(i), &mode, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(mode, ==, i);
    }
}

static void
test_words_are_those_of_the_contract(void)
{
    g_assert_cmpstr(dlk_mode_to_string(DLK_MODE_EXCLUSIVE), ==, "exclusive");
    g_assert_cmpstr(dlk_mode_to_string(DLK_MODE_SHARED), ==, "shared");
    g_assert_cmpstr(dlk_mode_to_string(DLK_MODE_READ_ONLY), ==, "read-only");
    g_assert_cmpstr(dlk_mode_adverb(DLK_MODE_EXCLUSIVE), ==, "exclusively");
    g_assert_cmpstr(dlk_mode_adverb(DLK_MODE_SHARED), ==, "shared");
    g_assert_cmpstr(dlk_mode_adverb(DLK_MODE_READ_ONLY), ==, "read-only");
}

static void
test_another_word_is_refused_and_shown(void)
{
    static const char *const words[] = {"", "Exclusive", "exclusive ", "readonly", "rw"};

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *shown = g_strdup_printf("\"%s\"", words[i]);
        DlkMode mode;

        g_assert_false(dlk_mode_from_string(words[i], &mode, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        g_assert_nonnull(strstr(error->message, shown));
        g_assert_nonnull(strstr(error->message, "exclusive, shared or read-only"));
    }
}

static void
test_wild_word_is_shown_harmlessly(void)
{
    g_autoptr(GError) error = NULL;
    DlkMode mode;

    g_assert_false(dlk_mode_from_string("\033[2J\n", &mode, &error));
    g_assert_null(strchr(error->message, '\033'));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_only_read_only_does_not_write(void)
{
    g_assert_true(dlk_mode_writes(DLK_MODE_EXCLUSIVE));
    g_assert_true(dlk_mode_writes(DLK_MODE_SHARED));
    g_assert_false(dlk_mode_writes(DLK_MODE_READ_ONLY));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mode/conflicts-are-those-of-the-matrix", test_conflicts_are_those_of_the_matrix);
    g_test_add_func("/mode/words-lead-there-and-back", test_words_lead_there_and_back);
    g_test_add_func("/mode/words-are-those-of-the-contract", test_words_are_those_of_the_contract);
    g_test_add_func("/mode/another-word-is-refused-and-shown", test_another_word_is_refused_and_shown);
    g_test_add_func("/mode/wild-word-is-shown-harmlessly", test_wild_word_is_shown_harmlessly);
    g_test_add_func("/mode/only-read-only-does-not-write", test_only_read_only_does_not_write);
    return g_test_run();
}
