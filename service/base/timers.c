#include "base/timers.h"

struct _DlkTimer {
    gint64 due;
    guint64 order; /* of two that are due at once, the one that was added first runs first */
    guint place;   /* in the heap */
    GSourceOnceFunc func;
    gpointer user_data;
};

struct _DlkTimers {
    GSource *source;
    GPtrArray *heap; /* of DlkTimer: each is due no later than its children at 2n + 1 and 2n + 2 */
    guint64 added;
};

typedef struct {
    GSource source;
    DlkTimers *timers;
} TimersSource;

static gboolean
is_before(const DlkTimer *a, const DlkTimer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static DlkTimer *
timer_at(const DlkTimers *self, guint place)
{
    return g_ptr_array_index(self->heap, place);
}

static void
put_at(DlkTimers *self, DlkTimer *timer, guint place)
{
    g_ptr_array_index(self->heap, place) = timer;
    timer->place = place;
}

/* Finds @timer its place from @place upwards; whoever is due later moves down. */
static void
sift_up(DlkTimers *self, DlkTimer *timer, guint place)
{
    while (place > 0) {
        guint parent = (place - 1) / 2;
        if (!is_before(timer, timer_at(self, parent)))
            break;
        put_at(self, timer_at(self, parent), place);
        place = parent;
    }
    put_at(self, timer, place);
}

static void
sift_down(DlkTimers *self, DlkTimer *timer, guint place)
{
    for (;;) {
        guint child = 2 * place + 1;
        if (child >= self->heap->len)
            break;
        if (child + 1 < self->heap->len && is_before(timer_at(self, child + 1), timer_at(self, child)))
            child++;
        if (!is_before(timer_at(self, child), timer))
            break;
        put_at(self, timer_at(self, child), place);
        place = child;
    }
    put_at(self, timer, place);
}

static void
take_out(DlkTimers *self, DlkTimer *timer)
{
    guint place = timer->place;
    DlkTimer *last = g_ptr_array_steal_index(self->heap, self->heap->len - 1);
    if (last == timer)
        return;
    if (place > 0 && is_before(last, timer_at(self, (place - 1) / 2)))
        sift_up(self, last, place);
    else
        sift_down(self, last, place);
}

/* Microseconds until the first is due, or -1. */
static gint64
time_left(GSource *source)
{
    const DlkTimers *self = ((TimersSource *)source)->timers;

    if (self->heap->len == 0)
        return -1;
    return MAX(timer_at(self, 0)->due - g_source_get_time(source), 0);
}

/*
 * The loop asks before it sleeps. A ready time would be the shorter way, but to set one writes to the loop's
 * eventfd and costs it another turn, and deadlines are set with every call.
 */
static gboolean
prepare(GSource *source, int *timeout)
{
    const gint64 left = time_left(source);

    *timeout = left < 0 ? -1 : (int)MIN((left + 999) / 1000, G_MAXINT);
    return left == 0;
}

static gboolean
check(GSource *source)
{
    return time_left(source) == 0;
}

static gboolean
dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DlkTimers *self = ((TimersSource *)source)->timers;
    gint64 now = g_source_get_time(source);
    guint64 last_order = self->added;

    /* What a callback adds waits for the next turn even if it is due, so that the loop comes to everybody
     * else. */
    while (self->heap->len > 0 && timer_at(self, 0)->due <= now && timer_at(self, 0)->order <= last_order) {
        g_autofree DlkTimer *timer = timer_at(self, 0);
        take_out(self, timer);
        timer->func(timer->user_data);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

DlkTimers *
dlk_timers_new(GMainContext *context)
{
    DlkTimers *self = g_new0(DlkTimers, 1);
    self->heap = g_ptr_array_new_with_free_func(g_free);
    self->source = g_source_new(&source_funcs, sizeof(TimersSource));
    ((TimersSource *)self->source)->timers = self;
    g_source_set_static_name(self->source, "disklock timers");
    g_source_attach(self->source, context);
    return self;
}

void
dlk_timers_free(DlkTimers *self)
{
    g_source_destroy(self->source);
    g_source_unref(self->source);
    g_ptr_array_unref(self->heap);
    g_free(self);
}

DlkTimer *
dlk_timers_add(DlkTimers *self, gint64 due, GSourceOnceFunc func, gpointer user_data)
{
    DlkTimer *timer = g_new(DlkTimer, 1);
    *timer = (DlkTimer){.due = MAX(due, 0), .order = ++self->added, .func = func, .user_data = user_data};
    g_ptr_array_add(self->heap, timer);
    sift_up(self, timer, self->heap->len - 1);
    return timer;
}

void
dlk_timers_cancel(DlkTimers *self, DlkTimer **timer)
{
    g_autofree DlkTimer *cancelled = g_steal_pointer(timer);
    if (cancelled != NULL)
        take_out(self, cancelled);
}

gint64
dlk_timer_due(const DlkTimer *timer)
{
    return timer->due;
}

guint
dlk_timers_count(const DlkTimers *self)
{
    return self->heap->len;
}
