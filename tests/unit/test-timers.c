#include "base/timers.h"

typedef struct {
    GMainContext *context;
    DlkTimers *timers;
    GString *ran; /* one letter for each timer that ran */
    DlkTimer *other;
} Fixture;

typedef struct {
    Fixture *fixture;
    char letter;
} Note;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->context = g_main_context_new();
    f->timers = dlk_timers_new(f->context);
    f->ran = g_string_new(NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_timers_free(f->timers);
    g_main_context_unref(f->context);
    g_string_free(f->ran, TRUE);
}

static void
run_until(Fixture *f, gsize count)
{
    while (f->ran->len < count)
        g_main_context_iteration(f->context, TRUE);
}

static void
note(gpointer data)
{
    Note *n = data;
    g_string_append_c(n->fixture->ran, n->letter);
}

static gint64
in_ms(gint64 ms)
{
    return g_get_monotonic_time() + ms * 1000;
}

static void
test_run_in_order_of_their_time(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'}, b = {f, 'b'}, c = {f, 'c'};
    gint64 base = in_ms(5);
    dlk_timers_add(f->timers, base + 2000, note, &c);
    dlk_timers_add(f->timers, base, note, &a);
    dlk_timers_add(f->timers, base + 1000, note, &b);
    run_until(f, 3);
    g_assert_cmpstr(f->ran->str, ==, "abc");
    g_assert_cmpuint(dlk_timers_count(f->timers), ==, 0);
}

static void
test_run_in_order_of_arrival_when_due_at_once(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'}, b = {f, 'b'}, c = {f, 'c'};
    gint64 due = in_ms(1);
    dlk_timers_add(f->timers, due, note, &a);
    dlk_timers_add(f->timers, due, note, &b);
    dlk_timers_add(f->timers, due, note, &c);
    run_until(f, 3);
    g_assert_cmpstr(f->ran->str, ==, "abc");
}

static void
note_time(gpointer data)
{
    *(gint64 *)data = g_get_monotonic_time();
}

static void
test_never_run_early(Fixture *f, gconstpointer data)
{
    gint64 ran_at = 0, due = in_ms(20);
    dlk_timers_add(f->timers, due, note_time, &ran_at);
    while (ran_at == 0)
        g_main_context_iteration(f->context, TRUE);
    g_assert_cmpint(ran_at, >=, due);
}

static void
test_cancelled_does_not_run(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'}, b = {f, 'b'};
    DlkTimer *timer = dlk_timers_add(f->timers, in_ms(1), note, &a);
    dlk_timers_add(f->timers, in_ms(5), note, &b);
    dlk_timers_cancel(f->timers, &timer);
    g_assert_null(timer);
    dlk_timers_cancel(f->timers, &timer);
    run_until(f, 1);
    g_assert_cmpstr(f->ran->str, ==, "b");
}

static void
cancel_other(gpointer data)
{
    Note *n = data;
    note(n);
    dlk_timers_cancel(n->fixture->timers, &n->fixture->other);
}

static void
test_may_cancel_another_that_is_due_too(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'}, b = {f, 'b'}, c = {f, 'c'};
    dlk_timers_add(f->timers, 1, cancel_other, &a);
    f->other = dlk_timers_add(f->timers, 2, note, &b);
    dlk_timers_add(f->timers, 3, note, &c);
    run_until(f, 2);
    g_assert_cmpstr(f->ran->str, ==, "ac");
}

static void
test_may_cancel_another_of_the_same_moment(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'}, b = {f, 'b'}, c = {f, 'c'};
    gint64 due = in_ms(1);
    dlk_timers_add(f->timers, due, cancel_other, &a);
    f->other = dlk_timers_add(f->timers, due, note, &b);
    dlk_timers_add(f->timers, in_ms(2), note, &c);
    run_until(f, 2);
    g_assert_cmpstr(f->ran->str, ==, "ac");
    g_assert_cmpuint(dlk_timers_count(f->timers), ==, 0);
}

static void
add_itself(gpointer data)
{
    Note *n = data;
    note(n);
    dlk_timers_add(n->fixture->timers, 0, add_itself, n);
}

static void
test_one_that_adds_itself_lets_the_loop_go_on(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'};
    dlk_timers_add(f->timers, 0, add_itself, &a);
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpstr(f->ran->str, ==, "a");
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpstr(f->ran->str, ==, "aa");
}

typedef struct {
    gint64 *last;
    gint64 due;
    guint *left;
} Checked;

static void
check_order(gpointer data)
{
    Checked *c = data;
    g_assert_cmpint(*c->last, <=, c->due);
    *c->last = c->due;
    (*c->left)--;
}

static void
test_many_with_every_third_cancelled_stay_in_order(Fixture *f, gconstpointer data)
{
    enum {
        MANY = 30000
    };
    g_autofree Checked *all = g_new(Checked, MANY);
    g_autofree DlkTimer **timers = g_new(DlkTimer *, MANY);
    gint64 last = 0;
    guint left = 0;
    for (guint i = 0; i < MANY; i++) {
        all[i] = (Checked){&last, g_test_rand_int_range(0, 20000), &left};
        timers[i] = dlk_timers_add(f->timers, all[i].due, check_order, &all[i]);
    }
    for (guint i = 0; i < MANY; i += 3)
        dlk_timers_cancel(f->timers, &timers[i]);
    left = MANY - MANY / 3;
    g_assert_cmpuint(dlk_timers_count(f->timers), ==, left);
    while (left > 0)
        g_main_context_iteration(f->context, TRUE);
    g_assert_cmpuint(dlk_timers_count(f->timers), ==, 0);
}

static void
test_free_drops_what_is_pending(Fixture *f, gconstpointer data)
{
    Note a = {f, 'a'};
    DlkTimers *timers = dlk_timers_new(f->context);
    dlk_timers_add(timers, 0, note, &a);
    dlk_timers_free(timers);
    g_assert_false(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpstr(f->ran->str, ==, "");
}

#define TEST(name) g_test_add("/timers/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(run_in_order_of_their_time);
    TEST(run_in_order_of_arrival_when_due_at_once);
    TEST(never_run_early);
    TEST(cancelled_does_not_run);
    TEST(may_cancel_another_that_is_due_too);
    TEST(may_cancel_another_of_the_same_moment);
    TEST(one_that_adds_itself_lets_the_loop_go_on);
    TEST(many_with_every_third_cancelled_stay_in_order);
    TEST(free_drops_what_is_pending);
    return g_test_run();
}
