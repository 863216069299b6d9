#include "model/table.h"

/*
 * A lease has one place in the slot of its own disk and one in the slot of each disk that contains it.
 * Whoever overlaps a disk is then found in two kinds of slot: everybody in the disk's own (its holders, and
 * the holders of its parts), and, in the slots of its ancestors, those who hold the ancestor itself.
 */
typedef struct _DlkPlace DlkPlace;

typedef struct {
    char *id;
    DlkPlace *first, *last;
} DlkSlot;

struct _DlkPlace {
    DlkLease *lease;
    DlkSlot *slot;
    DlkPlace *previous, *next;
    gboolean own; /* the slot is that of the lease's own disk */
};

typedef struct {
    guint leases, waiters;
} DlkUsage;

struct _DlkTable {
    GHashTable *slots;   /* disk id → DlkSlot */
    GHashTable *by_id;   /* DlkLeaseId → DlkLease, those on the bus */
    GHashTable *usage;   /* uid → DlkUsage */
    GSequence *by_token; /* leases on the bus, by token */
    GQueue broken;       /* the first to break at the head */
    guint64 last_order;
    guint live;
};

static void
slot_free(gpointer data)
{
    DlkSlot *slot = data;

    g_free(slot->id);
    g_free(slot);
}

DlkTable *
dlk_table_new(void)
{
    DlkTable *self = g_new0(DlkTable, 1);

    self->slots = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, slot_free);
    self->by_id = g_hash_table_new(dlk_lease_id_hash, dlk_lease_id_equal);
    self->usage = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    self->by_token = g_sequence_new(NULL);
    g_queue_init(&self->broken);
    return self;
}

void
dlk_table_free(DlkTable *self)
{
    g_assert(g_hash_table_size(self->slots) == 0);
    g_assert(g_hash_table_size(self->by_id) == 0);
    g_hash_table_unref(self->slots);
    g_hash_table_unref(self->by_id);
    g_hash_table_unref(self->usage);
    g_sequence_free(self->by_token);
    g_free(self);
}

/* The id-th disk of a lease: its own first, then its ancestors; NULL behind the last. */
static const char *
disk_id_at(const DlkDisk *disk, guint index)
{
    if (index == 0)
        return disk->id;
    return disk->ancestors ? disk->ancestors[index - 1] : NULL;
}

static gboolean
keeps_out(const DlkLease *lease)
{
    return lease->phase == DLK_PHASE_LOCKING || lease->phase == DLK_PHASE_HELD ||
           lease->phase == DLK_PHASE_ENDING;
}

static gboolean
on_bus(DlkPhase phase)
{
    return phase == DLK_PHASE_HELD || phase == DLK_PHASE_BROKEN;
}

static gboolean
hinders(const DlkLease *other, const DlkLease *lease, DlkMode mode)
{
    if (other == lease || (lease->group && other->group == lease->group))
        return FALSE;
    return dlk_mode_conflicts(other->mode, mode, other->rule->strict_readers || lease->rule->strict_readers);
}

typedef gboolean (*VisitFunc)(DlkLease *other, gpointer user_data);

/* Visits every lease whose disk overlaps @disk until @visit says TRUE; returns the one it said so of. */
static DlkLease *
visit_overlapping(DlkTable *self, const DlkDisk *disk, VisitFunc visit, gpointer user_data)
{
    const char *id;

    for (guint i = 0; (id = disk_id_at(disk, i)); i++) {
        DlkSlot *slot = g_hash_table_lookup(self->slots, id);

        for (DlkPlace *place = slot ? slot->first : NULL; place; place = place->next)
            if ((i == 0 || place->own) && visit(place->lease, user_data))
                return place->lease;
    }
    return NULL;
}

typedef struct {
    const DlkLease *lease;
    DlkMode mode;
    DlkLease *waiter; /* the first waiter in the way */
} Search;

static gboolean
is_conflict(DlkLease *other, gpointer user_data)
{
    Search *search = user_data;
    const DlkLease *lease = search->lease;

    if (keeps_out(other))
        return hinders(other, lease, search->mode);

    gboolean earlier = lease->phase == DLK_PHASE_NEW || other->order < lease->order;
    if (other->phase == DLK_PHASE_WAITING && earlier && hinders(other, lease, search->mode) &&
        (!search->waiter || other->order < search->waiter->order))
        search->waiter = other;
    return FALSE;
}

DlkLease *
dlk_table_conflict(DlkTable *self, const DlkLease *lease)
{
    Search search = {.lease = lease, .mode = lease->mode};
    DlkLease *holder = visit_overlapping(self, lease->disk, is_conflict, &search);

    return holder ? holder : search.waiter;
}

DlkLease *
dlk_table_conflict_in_mode(DlkTable *self, const DlkLease *lease, DlkMode mode)
{
    Search search = {.lease = lease, .mode = mode};

    return visit_overlapping(self, lease->disk, is_conflict, &search);
}

typedef struct {
    const DlkLease *lease;
    DlkMode mode;
    guint count;
} Tally;

static gboolean
count_conflict(DlkLease *other, gpointer user_data)
{
    Tally *tally = user_data;

    tally->count += keeps_out(other) && hinders(other, tally->lease, tally->mode);
    return FALSE;
}

guint
dlk_table_count_conflicts(DlkTable *self, const DlkLease *lease, DlkMode mode)
{
    Tally tally = {.lease = lease, .mode = mode};

    visit_overlapping(self, lease->disk, count_conflict, &tally);
    return tally.count;
}

static void
place_link(DlkTable *self, DlkPlace *place, const char *id)
{
    DlkSlot *slot = g_hash_table_lookup(self->slots, id);

    if (!slot) {
        slot = g_new0(DlkSlot, 1);
        slot->id = g_strdup(id);
        g_hash_table_insert(self->slots, slot->id, slot);
    }
    place->slot = slot;
    place->previous = slot->last;
    if (slot->last)
        slot->last->next = place;
    else
        slot->first = place;
    slot->last = place;
}

static void
place_unlink(DlkTable *self, DlkPlace *place)
{
    DlkSlot *slot = place->slot;

    if (place->previous)
        place->previous->next = place->next;
    else
        slot->first = place->next;
    if (place->next)
        place->next->previous = place->previous;
    else
        slot->last = place->previous;
    if (!slot->first)
        g_hash_table_remove(self->slots, slot->id);
}

static DlkUsage *
usage_of(DlkTable *self, uid_t uid)
{
    DlkUsage *usage = g_hash_table_lookup(self->usage, GUINT_TO_POINTER(uid));

    if (!usage) {
        usage = g_new0(DlkUsage, 1);
        g_hash_table_insert(self->usage, GUINT_TO_POINTER(uid), usage);
    }
    return usage;
}

static int
compare_tokens(gconstpointer a, gconstpointer b, gpointer user_data)
{
    const DlkLease *x = a, *y = b;

    return x->token < y->token ? -1 : x->token > y->token;
}

/* Enters @lease in, or takes it out of, what is derived from its phase. */
static void
account(DlkTable *self, DlkLease *lease, int step)
{
    DlkUsage *usage = usage_of(self, lease->uid);

    if (lease->phase == DLK_PHASE_WAITING)
        usage->waiters += (guint)step;
    if (keeps_out(lease)) {
        usage->leases += (guint)step;
        self->live += (guint)step;
    }
    if (usage->waiters == 0 && usage->leases == 0)
        g_hash_table_remove(self->usage, GUINT_TO_POINTER(lease->uid));
}

static void
show_on_bus(DlkTable *self, DlkLease *lease)
{
    g_hash_table_insert(self->by_id, &lease->id, lease);
    g_sequence_insert_sorted(self->by_token, lease, compare_tokens, NULL);
}

static void
hide_from_bus(DlkTable *self, DlkLease *lease)
{
    g_hash_table_remove(self->by_id, &lease->id);
    g_sequence_remove(g_sequence_lookup(self->by_token, lease, compare_tokens, NULL));
}

void
dlk_table_insert(DlkTable *self, DlkLease *lease, DlkPhase phase)
{
    guint n = 1 + (lease->disk->ancestors ? g_strv_length(lease->disk->ancestors) : 0);

    g_assert(lease->phase == DLK_PHASE_NEW);
    g_assert(phase == DLK_PHASE_WAITING || phase == DLK_PHASE_LOCKING);
    dlk_lease_ref(lease);
    lease->phase = phase;
    lease->order = ++self->last_order;
    lease->places = g_new0(DlkPlace, n);
    for (guint i = 0; i < n; i++) {
        lease->places[i].lease = lease;
        lease->places[i].own = i == 0;
        place_link(self, &lease->places[i], disk_id_at(lease->disk, i));
    }
    account(self, lease, +1);
}

void
dlk_table_set_phase(DlkTable *self, DlkLease *lease, DlkPhase phase)
{
    DlkPhase before = lease->phase;

    g_assert(lease->places != NULL && phase > before);
    account(self, lease, -1);
    lease->phase = phase;
    account(self, lease, +1);
    if (!on_bus(before) && on_bus(phase))
        show_on_bus(self, lease);
    if (on_bus(before) && !on_bus(phase))
        hide_from_bus(self, lease);
    if (phase == DLK_PHASE_BROKEN)
        g_queue_push_tail(&self->broken, lease);
}

void
dlk_table_remove(DlkTable *self, DlkLease *lease)
{
    guint n = 1 + (lease->disk->ancestors ? g_strv_length(lease->disk->ancestors) : 0);

    g_assert(lease->places != NULL);
    account(self, lease, -1);
    if (on_bus(lease->phase))
        hide_from_bus(self, lease);
    if (lease->phase == DLK_PHASE_BROKEN)
        g_queue_remove(&self->broken, lease);
    lease->phase = DLK_PHASE_ENDED;
    for (guint i = 0; i < n; i++)
        place_unlink(self, &lease->places[i]);
    g_clear_pointer(&lease->places, g_free);
    dlk_lease_unref(lease);
}

DlkLease *
dlk_table_find(DlkTable *self, const DlkLeaseId *id)
{
    return g_hash_table_lookup(self->by_id, id);
}

static int
compare_orders(gconstpointer a, gconstpointer b)
{
    const DlkLease *x = *(DlkLease *const *)a, *y = *(DlkLease *const *)b;

    return x->order < y->order ? -1 : x->order > y->order;
}

static gboolean
collect_waiter(DlkLease *other, gpointer user_data)
{
    if (other->phase == DLK_PHASE_WAITING)
        g_ptr_array_add(user_data, dlk_lease_ref(other));
    return FALSE;
}

GPtrArray *
dlk_table_waiters(DlkTable *self, const DlkDisk *disk)
{
    GPtrArray *waiters = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);

    visit_overlapping(self, disk, collect_waiter, waiters);
    g_ptr_array_sort(waiters, compare_orders);
    return waiters;
}

static gboolean
collect_holder(DlkLease *other, gpointer user_data)
{
    if (keeps_out(other) || other->phase == DLK_PHASE_BROKEN)
        g_ptr_array_add(user_data, dlk_lease_ref(other));
    return FALSE;
}

GPtrArray *
dlk_table_overlapping(DlkTable *self, const DlkDisk *disk)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);

    visit_overlapping(self, disk, collect_holder, holders);
    return holders;
}

DlkLease *
dlk_table_next(DlkTable *self, guint64 token)
{
    DlkLease probe = {.token = token};
    /* Behind all that are not greater. */
    GSequenceIter *iter = g_sequence_search(self->by_token, &probe, compare_tokens, NULL);

    return g_sequence_iter_is_end(iter) ? NULL : g_sequence_get(iter);
}

DlkLease *
dlk_table_oldest_broken(DlkTable *self, guint keep)
{
    return self->broken.length > keep ? g_queue_peek_head(&self->broken) : NULL;
}

guint
dlk_table_count(const DlkTable *self)
{
    return g_hash_table_size(self->by_id);
}

guint
dlk_table_leases_of(const DlkTable *self, uid_t uid)
{
    const DlkUsage *usage = g_hash_table_lookup(self->usage, GUINT_TO_POINTER(uid));

    return usage ? usage->leases : 0;
}

guint
dlk_table_waiters_of(const DlkTable *self, uid_t uid)
{
    const DlkUsage *usage = g_hash_table_lookup(self->usage, GUINT_TO_POINTER(uid));

    return usage ? usage->waiters : 0;
}

guint
dlk_table_live_count(const DlkTable *self)
{
    return self->live;
}
