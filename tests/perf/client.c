/*
 * The caller of the measurements; tools/bench runs it.
 *   client latency BLOCKS SIZE {BUS DISK}...       time of two calls, one after the other, in microseconds
 *   client rate BEGIN SLICES SLICE-MS {BUS DISK}...  calls that were answered
 *   client fill BUS DEPTH <PATHS                   takes a lease of every path, DEPTH calls under way at once
 *   client set BLOCKS SIZE BUS <PATHS              time of AcquireSet of all paths, and of Acquire of the
 * first BUS is an address. DISK is a path: Acquire and Release of it; or "-": the method of noop-service,
 * twice; or "=": its Acquire and Release, which do nothing; or "+" and a path: the same, with the kernel's
 * calls of a lock. BEGIN is in microseconds of the monotonic clock,
 * for clients that are to begin together. What is compared takes turns within one run, so that all meet the
 * same noise.
 */
#include "bus/members.h"
#include "disk-set.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP 50
/* Between two slices, so that no call of the one is under way in the next. */
#define PAUSE_US 50000
/* Many leases take their time where the processor is emulated. */
#define TELL_EVERY 20000

static GPtrArray *
subjects_from(char **words)
{
    GPtrArray *subjects = g_ptr_array_new_with_free_func((GDestroyNotify)subject_free);

    for (guint i = 0; words[i] && words[i + 1]; i += 2) {
        Subject *subject = subject_new(words[i], words[i + 1]);

        for (guint n = 0; n < WARM_UP; n++)
            subject_call_twice(subject);
        g_ptr_array_add(subjects, subject);
    }
    return subjects;
}

static int
compare_times(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double
quantile(GArray *sorted, double part)
{
    return g_array_index(sorted, double, (guint)(part * (sorted->len - 1)));
}

static void
print_times(const char *name, GArray *times)
{
    g_array_sort(times, compare_times);
    printf("%s median=%.1f p99=%.1f\n", name, quantile(times, 0.5), quantile(times, 0.99));
}

static void
measure_latency(guint blocks, guint size, GPtrArray *subjects)
{
    g_autoptr(GPtrArray) times = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);

    for (guint i = 0; i < subjects->len; i++)
        g_ptr_array_add(times, g_array_new(FALSE, FALSE, sizeof(double)));
    for (guint n = 0; n < blocks * subjects->len; n++) {
        guint turn = n % subjects->len;

        for (guint i = 0; i < size; i++) {
            double time = subject_call_twice(g_ptr_array_index(subjects, turn));
            g_array_append_val((GArray *)g_ptr_array_index(times, turn), time);
        }
    }
    for (guint i = 0; i < subjects->len; i++)
        print_times(((Subject *)g_ptr_array_index(subjects, i))->name, g_ptr_array_index(times, i));
}

static void
sleep_until(gint64 time)
{
    gint64 left = time - g_get_monotonic_time();

    if (left > 0)
        g_usleep((gulong)left);
}

static void
measure_rate(gint64 begin, guint slices, gint64 slice, GPtrArray *subjects)
{
    g_autofree guint *calls = g_new0(guint, subjects->len);

    for (guint n = 0; n < slices * subjects->len; n++) {
        gint64 end = begin + slice;

        sleep_until(begin);
        while (g_get_monotonic_time() < end) {
            subject_call_twice(g_ptr_array_index(subjects, n % subjects->len));
            calls[n % subjects->len] += 2;
        }
        begin = end + PAUSE_US;
    }
    for (guint i = 0; i < subjects->len; i++)
        printf("%s calls=%u\n", ((Subject *)g_ptr_array_index(subjects, i))->name, calls[i]);
}

typedef struct {
    GDBusConnection *connection;
    guint under_way, granted;
} Filling;

static gboolean start_next(Filling *self);

static void
on_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Filling *self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (!reply)
        die("Acquire", error);
    self->under_way--;
    self->granted++;
    if (self->granted % TELL_EVERY == 0)
        g_printerr("%u leases\n", self->granted);
    start_next(self);
}

/* FALSE: there is no further path. */
static gboolean
start_next(Filling *self)
{
    char line[4096];

    if (!fgets(line, sizeof line, stdin))
        return FALSE;
    g_dbus_connection_call(self->connection, DLK_BUS_NAME, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, "Acquire",
                           acquire_parameters(g_strchomp(line)), NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL,
                           on_acquired, self);
    self->under_way++;
    return TRUE;
}

static void
fill(const char *bus, guint depth)
{
    Subject *subject = subject_new(bus, "-");
    Filling self = {.connection = subject->connection};
    gint64 begin = g_get_monotonic_time();

    for (guint i = 0; i < depth && start_next(&self); i++)
        ;
    while (self.under_way > 0)
        g_main_context_iteration(NULL, TRUE);
    printf("leases=%u seconds=%.2f\n", self.granted, (double)(g_get_monotonic_time() - begin) / 1e6);
    subject_free(subject);
}

/* One disk and all of them take turns, block by block. */
static void
measure_set(guint blocks, guint size, const char *bus)
{
    Subject *subject = subject_new(bus, "-");
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free), one = g_ptr_array_new();
    g_autoptr(GArray) all_times = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) one_times = g_array_new(FALSE, FALSE, sizeof(double));
    char line[4096];

    while (fgets(line, sizeof line, stdin))
        g_ptr_array_add(all, g_strdup(g_strchomp(line)));
    g_ptr_array_add(all, NULL);
    g_ptr_array_add(one, g_ptr_array_index(all, 0));
    g_ptr_array_add(one, NULL);
    for (guint i = 0; i < blocks * size; i++) {
        gboolean is_set = i / size % 2;
        double time = disk_set_acquire(subject->connection, (const char *const *)(is_set ? all : one)->pdata);

        g_array_append_val(is_set ? all_times : one_times, time);
    }
    print_times("one", one_times);
    print_times("set", all_times);
    subject_free(subject);
}

static guint
number(const char *text)
{
    return (guint)g_ascii_strtoull(text, NULL, 10);
}

int
main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (g_str_equal(command, "latency") && argc > 5) {
        g_autoptr(GPtrArray) subjects = subjects_from(argv + 4);
        measure_latency(number(argv[2]), number(argv[3]), subjects);
    } else if (g_str_equal(command, "rate") && argc > 6) {
        g_autoptr(GPtrArray) subjects = subjects_from(argv + 5);
        measure_rate(g_ascii_strtoll(argv[2], NULL, 10), number(argv[3]), (gint64)number(argv[4]) * 1000,
                     subjects);
    } else if (g_str_equal(command, "set") && argc == 5) {
        measure_set(number(argv[2]), number(argv[3]), argv[4]);
    } else if (g_str_equal(command, "fill") && argc == 4) {
        fill(argv[2], number(argv[3]));
    } else {
        g_printerr("perf-client: see the top of tests/perf/client.c\n");
        return 2;
    }
    return EXIT_SUCCESS;
}
