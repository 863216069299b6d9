#include "backend/host-key.h"
#include "base/error.h"
#include "model/pr-key.h"
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>

typedef struct {
    Scratch scratch;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    dlk_host_key_set_host("web01");
    dlk_host_key_set_folder(f->scratch.path);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
}

static guint64
get(gboolean alone)
{
    guint64 key = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(dlk_host_key_get(alone, &key, &error));
    g_assert_no_error(error);
    return key;
}

/* As a daemon that starts anew. */
static void
start_again(Fixture *f)
{
    dlk_host_key_set_folder(f->scratch.path);
}

static void
write_file(Fixture *f, const char *text)
{
    g_autofree char *path = scratch_path(&f->scratch, "reservation-generation");
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    start_again(f);
}

static void
test_a_key_says_whose_it_is(Fixture *f, gconstpointer data)
{
    const guint64 key = get(TRUE);
    g_assert_true(dlk_pr_key_is_known(key));
    g_assert_true(dlk_pr_key_is_of(key, "web01"));
    g_assert_false(dlk_pr_key_is_of(key, "web02"));
    g_assert_true(dlk_pr_key_is_alone(key));
    g_assert_cmphex(dlk_pr_key_set_alone(key, FALSE), ==, get(FALSE));
    g_assert_false(dlk_pr_key_is_known(0x1234));
}

static void
test_a_key_is_never_zero_and_differs_by_host(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    guint64 keys[1000];
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *host = g_strdup_printf("host-%u", i);
        keys[i] = dlk_pr_key_make(host, 1, FALSE);
        g_assert_cmphex(keys[i], !=, 0);
        g_assert_true(g_hash_table_add(seen, &keys[i]));
    }
}

static void
test_a_key_stays_when_the_service_starts_again(Fixture *f, gconstpointer data)
{
    const guint64 key = get(TRUE);
    start_again(f);
    g_assert_cmphex(get(TRUE), ==, key);
}

static void
test_another_boot_has_another_key_of_the_same_host(Fixture *f, gconstpointer data)
{
    write_file(f, "7 00000000-0000-0000-0000-000000000000\n");
    g_assert_cmphex(get(FALSE), ==, dlk_pr_key_make("web01", 8, FALSE));
    start_again(f);
    g_assert_cmphex(get(FALSE), ==, dlk_pr_key_make("web01", 8, FALSE));
}

static void
test_a_host_that_was_fenced_has_another_key(Fixture *f, gconstpointer data)
{
    const guint64 key = get(TRUE);
    dlk_host_key_fenced(dlk_pr_key_set_alone(key, FALSE));
    const guint64 next = get(TRUE);
    g_assert_cmphex(next, !=, key);
    g_assert_true(dlk_pr_key_is_same_host(next, key));
    /* Told once more, of a disk that was lost with the same key: no news. */
    dlk_host_key_fenced(key);
    g_assert_cmphex(get(TRUE), ==, next);
}

static void
test_the_last_generation_is_followed_by_the_first(Fixture *f, gconstpointer data)
{
    write_file(f, "32767 00000000-0000-0000-0000-000000000000\n");
    g_assert_cmphex(get(FALSE), ==, dlk_pr_key_make("web01", 1, FALSE));
}

static void
test_a_file_that_says_something_else_is_refused(Fixture *f, gconstpointer data)
{
    static const char *const texts[] = {"", "7", "x y\n", "0 a\n", "32768 a\n", "-1 a\n", "7 a b\n"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        guint64 key = 0;
        g_autoptr(GError) error = NULL;
        write_file(f, texts[i]);
        g_assert_false(dlk_host_key_get(TRUE, &key, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
        g_assert_nonnull(g_strstr_len(error->message, -1, f->scratch.path));
    }
}

static void
test_a_key_that_cannot_be_written_down_is_not_used(Fixture *f, gconstpointer data)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    struct rlimit before;
    write_file(f, "5 another-boot\n");
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    gboolean got[2];
    guint64 key = 0;
    for (guint i = 0; i < G_N_ELEMENTS(got); i++)
        got[i] = dlk_host_key_get(TRUE, &key, NULL);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_false(got[0] || got[1]);
    g_assert_cmphex(get(TRUE), ==, dlk_pr_key_make("web01", 6, TRUE));
}

#define ADD(name, function) g_test_add("/host-key/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("a-key-says-whose-it-is", test_a_key_says_whose_it_is);
    ADD("a-key-is-never-zero-and-differs-by-host", test_a_key_is_never_zero_and_differs_by_host);
    ADD("a-key-stays-when-the-service-starts-again", test_a_key_stays_when_the_service_starts_again);
    ADD("another-boot-has-another-key-of-the-same-host", test_another_boot_has_another_key_of_the_same_host);
    ADD("a-host-that-was-fenced-has-another-key", test_a_host_that_was_fenced_has_another_key);
    ADD("the-last-generation-is-followed-by-the-first", test_the_last_generation_is_followed_by_the_first);
    ADD("a-file-that-says-something-else-is-refused", test_a_file_that_says_something_else_is_refused);
    ADD("a-key-that-cannot-be-written-down-is-not-used", test_a_key_that_cannot_be_written_down_is_not_used);
    return g_test_run();
}
