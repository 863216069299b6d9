#include "base/timers.h"

/*
 * A heap of moments. Those that are due in the same microsecond share one: the monitor sets tens of thousands
 * for a few hundred moments, and a heap of timers would cost each of them a dozen misses of the cache.
 */
typedef struct {
    gint64 due;
    guint64 order; /* of its making */
    guint place;   /* in the heap; NOWHERE once it has come */
    GQueue timers; /* of DlkTimer, in the order in which they were added */
} Moment;
#define NOWHERE G_MAXUINT

struct _DlkTimer {
    Moment *moment;
    GList link; /* there */
    GSourceOnceFunc func;
    gpointer user_data;
};

struct _DlkTimers {
    GSource *source;
    GPtrArray *heap;    /* of Moment: each is due before its children at 2n + 1 and 2n + 2 */
    GHashTable *by_due; /* due → Moment */
    guint64 made;
    guint count;
};

typedef struct {
    GSource source;
    DlkTimers *timers;
} TimersSource;

static Moment *
moment_at(const DlkTimers *self, guint place)
{
    return g_ptr_array_index(self->heap, place);
}

static Moment *
first_moment(const DlkTimers *self)
{
    return moment_at(self, 0);
}

static void
put_at(DlkTimers *self, Moment *moment, guint place)
{
    g_ptr_array_index(self->heap, place) = moment;
    moment->place = place;
}

/* Finds @moment its place from @place upwards; whatever is due later moves down. */
static void
sift_up(DlkTimers *self, Moment *moment, guint place)
{
    while (place > 0) {
        guint parent = (place - 1) / 2;
        if (moment->due >= moment_at(self, parent)->due)
            break;
        put_at(self, moment_at(self, parent), place);
        place = parent;
    }
    put_at(self, moment, place);
}

static void
sift_down(DlkTimers *self, Moment *moment, guint place)
{
    for (;;) {
        guint child = 2 * place + 1;
        if (child >= self->heap->len)
            break;
        if (child + 1 < self->heap->len && moment_at(self, child + 1)->due < moment_at(self, child)->due)
            child++;
        if (moment->due <= moment_at(self, child)->due)
            break;
        put_at(self, moment_at(self, child), place);
        place = child;
    }
    put_at(self, moment, place);
}

static void
take_out(DlkTimers *self, Moment *moment)
{
    const guint place = moment->place;
    Moment *last = g_ptr_array_steal_index(self->heap, self->heap->len - 1);
    g_hash_table_remove(self->by_due, &moment->due);
    moment->place = NOWHERE;
    if (last == moment)
        return;
    if (place > 0 && last->due < moment_at(self, (place - 1) / 2)->due)
        sift_up(self, last, place);
    else
        sift_down(self, last, place);
}

static Moment *
moment_due(DlkTimers *self, gint64 due)
{
    Moment *moment = g_hash_table_lookup(self->by_due, &due);
    if (moment != NULL)
        return moment;
    moment = g_new0(Moment, 1);
    moment->due = due;
    moment->order = ++self->made;
    g_hash_table_insert(self->by_due, &moment->due, moment);
    g_ptr_array_add(self->heap, moment);
    sift_up(self, moment, self->heap->len - 1);
    return moment;
}

static void
moment_free(gpointer data)
{
    Moment *moment = data;
    for (GList *link = g_queue_pop_head_link(&moment->timers); link != NULL;
         link = g_queue_pop_head_link(&moment->timers))
        g_free(link->data);
    g_free(moment);
}

/* Microseconds until the first is due, or -1. */
static gint64
time_left(GSource *source)
{
    const DlkTimers *self = ((TimersSource *)source)->timers;

    if (self->heap->len == 0)
        return -1;
    return MAX(first_moment(self)->due - g_source_get_time(source), 0);
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

static void
run_all(DlkTimers *self, Moment *moment)
{
    take_out(self, moment);
    for (GList *link = g_queue_pop_head_link(&moment->timers); link != NULL;
         link = g_queue_pop_head_link(&moment->timers)) {
        g_autofree DlkTimer *timer = link->data;
        self->count--;
        timer->func(timer->user_data);
    }
    g_free(moment);
}

static gboolean
dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DlkTimers *self = ((TimersSource *)source)->timers;
    gint64 now = g_source_get_time(source);
    guint64 last = self->made;

    /* A moment that a callback makes waits for the next turn even if it is due, so that the loop comes to
     * everybody else. */
    while (self->heap->len > 0 && first_moment(self)->due <= now && first_moment(self)->order <= last)
        run_all(self, first_moment(self));
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

DlkTimers *
dlk_timers_new(GMainContext *context)
{
    DlkTimers *self = g_new0(DlkTimers, 1);
    self->heap = g_ptr_array_new_with_free_func(moment_free);
    self->by_due = g_hash_table_new(g_int64_hash, g_int64_equal);
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
    g_hash_table_unref(self->by_due);
    g_ptr_array_unref(self->heap);
    g_free(self);
}

DlkTimer *
dlk_timers_add(DlkTimers *self, gint64 due, GSourceOnceFunc func, gpointer user_data)
{
    DlkTimer *timer = g_new0(DlkTimer, 1);
    timer->moment = moment_due(self, MAX(due, 0));
    timer->link.data = timer;
    timer->func = func;
    timer->user_data = user_data;
    g_queue_push_tail_link(&timer->moment->timers, &timer->link);
    self->count++;
    return timer;
}

void
dlk_timers_cancel(DlkTimers *self, DlkTimer **timer)
{
    g_autofree DlkTimer *cancelled = g_steal_pointer(timer);
    if (cancelled == NULL)
        return;
    Moment *moment = cancelled->moment;
    g_queue_unlink(&moment->timers, &cancelled->link);
    self->count--;
    /* One that has come is being run. */
    if (moment->timers.length > 0 || moment->place == NOWHERE)
        return;
    take_out(self, moment);
    g_free(moment);
}

gint64
dlk_timer_due(const DlkTimer *timer)
{
    return timer->moment->due;
}

guint
dlk_timers_count(const DlkTimers *self)
{
    return self->count;
}
