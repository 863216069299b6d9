#include "base/error.h"
#include "host/token.h"
#include "scratch.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    Scratch scratch;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
}

static DlkTokens *
start(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    DlkTokens *tokens = dlk_tokens_new(f->scratch.path, &error);
    g_assert_no_error(error);
    return tokens;
}

static guint64
next(DlkTokens *tokens)
{
    g_autoptr(GError) error = NULL;
    guint64 token = dlk_tokens_next(tokens, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(token, >, 0);
    return token;
}

static void
write_mark(Fixture *f, const char *text)
{
    g_autofree char *path = scratch_path(&f->scratch, "token-mark");
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
test_tokens_grow_and_go_by_the_clock(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkTokens) tokens = start(f);
    gint64 before = g_get_real_time();
    guint64 last = next(tokens);
    g_assert_cmpuint(last, >=, (guint64)before);
    for (guint i = 0; i < 10000; i++) {
        guint64 token = next(tokens);
        g_assert_cmpuint(token, >, last);
        last = token;
    }
}

static void
test_ten_thousand_grants_write_once(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkTokens) tokens = start(f);
    g_autofree char *path = scratch_path(&f->scratch, "token-mark");
    struct stat first, last;
    next(tokens);
    g_assert_cmpint(stat(path, &first), ==, 0);
    for (guint i = 0; i < 10000; i++)
        next(tokens);
    g_assert_cmpint(stat(path, &last), ==, 0);
    g_assert_cmpuint(first.st_ino, ==, last.st_ino);
}

static void
test_restarts_go_on_growing_and_do_not_run_ahead(Fixture *f, gconstpointer data)
{
    guint64 last = 0;
    for (guint i = 0; i < 100; i++) {
        g_autoptr(DlkTokens) tokens = start(f);
        guint64 token = next(tokens);
        g_assert_cmpuint(token, >, last);
        last = token;
    }
    g_assert_cmpuint(last, <, (guint64)g_get_real_time() + G_TIME_SPAN_MINUTE);
}

static void
test_clock_that_was_set_back_does_not_set_tokens_back(Fixture *f, gconstpointer data)
{
    /* A day ago in tomorrow's terms: the clock was ahead by far, and has been put right. */
    gint64 mark = g_get_real_time() + G_TIME_SPAN_DAY;
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", mark, mark);
    write_mark(f, text);
    guint64 last = (guint64)mark;
    for (guint i = 0; i < 3; i++) {
        g_autoptr(DlkTokens) tokens = start(f);
        guint64 token = next(tokens);
        g_assert_cmpuint(token, >, last);
        last = next(tokens);
        g_assert_cmpuint(last, >, token);
    }
}

/* The clock was set back, or seemed to be, and is right again: tokens of meanwhile are ahead of it. */
static void
test_clock_that_was_put_right_again_does_not_set_tokens_back(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_path(&f->scratch, "token-mark");
    g_autofree char *before = NULL;
    g_autoptr(DlkTokens) first = start(f);
    next(first);
    g_assert_true(g_file_get_contents(path, &before, NULL, NULL));
    const gint64 mark = g_ascii_strtoll(before, NULL, 10);
    g_autofree char *as_if_set_back =
        g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", mark, G_MAXINT64 / 4);
    write_mark(f, as_if_set_back);
    g_autoptr(DlkTokens) ahead = start(f);
    const guint64 token = next(ahead);
    g_assert_cmpuint(token, >, (guint64)mark);

    g_autoptr(DlkTokens) right_again = start(f);
    g_assert_cmpuint(next(right_again), >, token);
}

static void
test_tokens_that_the_clock_has_caught_up_with_go_by_it_again(Fixture *f, gconstpointer data)
{
    g_autofree char *as_if_ahead =
        g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", g_get_real_time() - 1, G_MAXINT64 / 2);
    write_mark(f, as_if_ahead);
    g_autoptr(DlkTokens) caught_up = start(f);
    const guint64 token = next(caught_up);
    g_autoptr(DlkTokens) again = start(f);
    const guint64 last = next(again);
    g_assert_cmpuint(last, >, token);
    g_assert_cmpuint(last, <, (guint64)g_get_real_time() + G_TIME_SPAN_MINUTE);
}

static void
test_mark_that_cannot_be_read_is_no_start(Fixture *f, gconstpointer data)
{
    const char *const texts[] = {"", "soon\n", "1\n", "-1 1\n", "1 2 3\n", "9223372036854775807 1\n"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        write_mark(f, texts[i]);
        g_assert_null(dlk_tokens_new(f->scratch.path, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
        g_assert_nonnull(strstr(error->message, "token-mark"));
    }
}

static void
test_mark_that_cannot_be_written_grants_nothing(Fixture *f, gconstpointer data)
{
    g_autofree char *gone = scratch_path(&f->scratch, "gone");
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTokens) tokens = dlk_tokens_new(gone, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(dlk_tokens_next(tokens, &error), ==, 0);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);

    g_clear_error(&error);
    g_assert_cmpint(g_mkdir(gone, 0755), ==, 0);
    g_assert_cmpuint(next(tokens), >, 0);
}

#define TEST(name) g_test_add("/token/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(tokens_grow_and_go_by_the_clock);
    TEST(ten_thousand_grants_write_once);
    TEST(restarts_go_on_growing_and_do_not_run_ahead);
    TEST(clock_that_was_set_back_does_not_set_tokens_back);
    TEST(clock_that_was_put_right_again_does_not_set_tokens_back);
    TEST(tokens_that_the_clock_has_caught_up_with_go_by_it_again);
    TEST(mark_that_cannot_be_read_is_no_start);
    TEST(mark_that_cannot_be_written_grants_nothing);
    return g_test_run();
}
