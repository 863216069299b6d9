#include "core/record.h"

#include "base/log.h"
#include "core/holding.h"
#include "core/leftover.h"

#include <string.h>

/* So often it is tried again to write what could not be written. */
#define TRY_AGAIN_US G_USEC_PER_SEC
#define NAMES_SIZE (DLK_HOLD_PARTS * DLK_FD_STORE_NAME_SIZE)

/* A record that borrows from its lease, and what it cannot borrow. */
typedef struct {
    DlkLeaseRecord record;
    char fds[NAMES_SIZE], spares[NAMES_SIZE];
    char keep[DLK_FD_STORE_NAME_SIZE];
} Writing;

/* "3,1x"; an empty name for a part that is not stored. */
static const char *
list_names(const guint numbers[DLK_HOLD_PARTS], char names[NAMES_SIZE])
{
    char *end = names;

    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        if (i > 0)
            *end++ = ',';
        *end = '\0';
        if (numbers[i] != 0)
            dlk_fd_store_name(numbers[i], end);
        end += strlen(end);
    }
    return names;
}

static void
fill_from_holding(Writing *writing, const DlkLease *lease)
{
    const DlkHolding *holding = dlk_holding(lease);
    DlkLeaseRecord *record = &writing->record;

    record->given_up = holding == NULL;
    if (!holding)
        return;
    record->strict = holding->hold && holding->hold->strict;
    record->released = holding->released;
    record->stopping = holding->stopping;
    record->risk_since = holding->risk_since;
    record->fds = list_names(holding->stored, writing->fds);
    if (holding->stored_keep != 0) {
        dlk_fd_store_name(holding->stored_keep, writing->keep);
        record->keep = writing->keep;
    }
    record->bus = holding->bus;
    record->bus_name = holding->bus_name;
    if (holding->provisional && holding->hold)
        record->other_mode = ((const DlkLeftover *)holding->hold->state)->other_mode;
    if (holding->converting) {
        record->other_mode = holding->other_mode;
        record->spares = list_names(holding->spares, writing->spares);
    }
    if (holding->suspending && lease->state != DLK_STATE_BROKEN) {
        record->state = DLK_STATE_SUSPENDED;
        record->risk_since = 0;
    }
}

static DlkLeaseRecord *
fill(Writing *writing, const DlkLease *lease)
{
    writing->record = (DlkLeaseRecord){
        .id = lease->id,
        .token = lease->token,
        .disk = lease->disk,
        .path = lease->path,
        .backend = lease->backend,
        .rule = lease->rule->name,
        .mode = lease->mode,
        .other_mode = lease->mode,
        .state = lease->state,
        .lifetime = lease->lifetime,
        .on_break = lease->on_break,
        .by_descriptor = lease->by_descriptor,
        .is_data_file = lease->is_data_file,
        .uid = lease->uid,
        .pid = lease->pid,
        .process_start = lease->process ? dlk_pid_ref_start(lease->process) : 0,
        .acquired_at = lease->acquired_at,
        .owner = lease->owner,
        .owner_uuid = lease->owner_uuid,
        .why = lease->why,
        .broken_reason = lease->broken_reason,
        .revoked = lease->revoked,
    };
    fill_from_holding(writing, lease);
    return &writing->record;
}

/* ---- the file ---- */

typedef struct {
    DlkEngine *engine;
    guint64 token;
    Writing writing;
} Rewriting;

/* Every lease that is on the bus, but for those that were granted this very moment and are written next. */
static gint64 *
next_record(DlkLeaseRecord *record, gpointer user_data)
{
    Rewriting *rewriting = user_data;
    DlkLease *lease = dlk_table_next(rewriting->engine->table, rewriting->token);

    if (!lease)
        return NULL;
    rewriting->token = lease->token;
    *record = *fill(&rewriting->writing, lease);
    return &lease->recorded_at;
}

static void rewrite_until_done(gpointer user_data);

/* What could not be written is no longer true: until it is, a restart would find the leases as they were. */
static void
try_later(DlkEngine *engine)
{
    if (!engine->record_timer)
        engine->record_timer =
            dlk_timers_add(engine->timers, g_get_monotonic_time() + TRY_AGAIN_US, rewrite_until_done, engine);
}

static gboolean
rewrite(DlkEngine *engine, GError **error)
{
    g_autofree Rewriting *rewriting = g_new0(Rewriting, 1);

    rewriting->engine = engine;
    if (!dlk_lease_journal_rewrite(engine->lease_journal, next_record, rewriting, error))
        return FALSE;
    dlk_fd_store_remove_put_off(engine->fd_store);
    return TRUE;
}

static void
rewrite_until_done(gpointer user_data)
{
    DlkEngine *engine = user_data;

    engine->record_timer = NULL;
    if (rewrite(engine, NULL))
        g_message("The journal of the leases could be written again");
    else
        try_later(engine);
}

static void
rewrite_or_try_later(DlkEngine *engine)
{
    g_autoptr(GError) error = NULL;

    if (rewrite(engine, &error))
        return;
    if (!engine->record_timer)
        dlk_log_event(DLK_EVENT_NOT_RECORDED, NULL, error->message);
    try_later(engine);
}

/* The file of the earlier run is at least true of those who were taken up from it. */
static void
go_on_with_old_file(DlkEngine *engine)
{
    DlkTable *table = engine->table;
    guint live = 0;

    for (DlkLease *lease = dlk_table_next(table, 0); lease; lease = dlk_table_next(table, lease->token))
        live += lease->recorded_at < 0;
    if (!dlk_lease_journal_go_on(engine->lease_journal, live, NULL))
        return;
    for (DlkLease *lease = dlk_table_next(table, 0); lease; lease = dlk_table_next(table, lease->token))
        lease->recorded_at = ABS(lease->recorded_at);
}

void
dlk_record_begin(DlkEngine *engine)
{
    rewrite_or_try_later(engine);
    if (!dlk_lease_journal_is_open(engine->lease_journal))
        go_on_with_old_file(engine);
}

static void
rewrite_if_stale(DlkEngine *engine)
{
    if (dlk_lease_journal_is_stale(engine->lease_journal))
        rewrite_or_try_later(engine);
}

/* The new records first, all of which count or none: of two that stand the later counts. */
static gboolean
replace_all(DlkEngine *engine, DlkLease *const *leases, DlkLeaseRecord *records, guint n, GError **error)
{
    g_autofree gint64 *places = g_new0(gint64, n);

    rewrite_if_stale(engine);
    if (!dlk_lease_journal_append(engine->lease_journal, records, n, places, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        dlk_lease_journal_strike(engine->lease_journal, leases[i]->recorded_at);
        leases[i]->recorded_at = places[i];
    }
    return TRUE;
}

/* One that has ended, or is not granted yet, is not to be written down. */
static gboolean
is_recorded(const DlkLease *lease)
{
    return lease->recorded_at > 0;
}

static gboolean
replace(DlkEngine *engine, DlkLease *lease, DlkLeaseRecord *record, GError **error)
{
    return !is_recorded(lease) || replace_all(engine, &lease, record, 1, error);
}

static void
unstore_all(DlkEngine *engine, DlkLease *lease)
{
    const DlkStored stored = dlk_record_take_stored(lease, TRUE);

    dlk_record_unstore(engine, &stored, TRUE);
}

gboolean
dlk_record_grants(DlkEngine *engine, DlkLease *const *leases, guint n, GError **error)
{
    g_autofree Writing *writings = g_new0(Writing, n);
    g_autofree DlkLeaseRecord *records = g_new0(DlkLeaseRecord, n);
    g_autofree gint64 *places = g_new0(gint64, n);

    if (n == 0)
        return TRUE;
    rewrite_if_stale(engine);
    for (guint i = 0; i < n; i++) {
        dlk_record_store(engine, leases[i]);
        records[i] = *fill(&writings[i], leases[i]);
    }
    const gboolean written = dlk_lease_journal_append(engine->lease_journal, records, n, places, error);
    for (guint i = 0; i < n; i++)
        if (written)
            leases[i]->recorded_at = places[i];
        else
            unstore_all(engine, leases[i]);
    return written;
}

gboolean
dlk_record_try_change(DlkEngine *engine, DlkLease *lease, GError **error)
{
    Writing writing;

    return replace(engine, lease, fill(&writing, lease), error);
}

gboolean
dlk_record_change(DlkEngine *engine, DlkLease *lease)
{
    g_autoptr(GError) error = NULL;

    if (dlk_record_try_change(engine, lease, &error))
        return TRUE;
    if (!engine->record_timer)
        dlk_journal_lease(DLK_EVENT_NOT_RECORDED, lease, error->message, "%s: %s", lease->path,
                          error->message);
    try_later(engine);
    return FALSE;
}

gboolean
dlk_record_conversion(DlkEngine *engine, DlkLease *lease, DlkMode mode, const guint spares[DLK_HOLD_PARTS],
                      GError **error)
{
    DlkHolding *holding = dlk_holding(lease);

    holding->converting = TRUE;
    holding->other_mode = mode;
    memcpy(holding->spares, spares, sizeof holding->spares);
    if (dlk_record_try_change(engine, lease, error))
        return TRUE;
    holding->converting = FALSE;
    return FALSE;
}

gboolean
dlk_record_suspension(DlkEngine *engine, DlkLease *lease, GError **error)
{
    DlkHolding *holding = dlk_holding(lease);

    holding->suspending = TRUE;
    if (dlk_record_try_change(engine, lease, error))
        return TRUE;
    holding->suspending = FALSE;
    return FALSE;
}

void
dlk_record_change_is_over(DlkLease *lease)
{
    dlk_holding(lease)->converting = FALSE;
    dlk_holding(lease)->suspending = FALSE;
}

gboolean
dlk_record_resumption(DlkEngine *engine, DlkLease *lease, GError **error)
{
    Writing writing;
    DlkLeaseRecord *record = fill(&writing, lease);

    record->state = DLK_STATE_ACTIVE;
    return replace(engine, lease, record, error);
}

static DlkLeaseRecord *
fill_hand_over(Writing *writing, const DlkLease *lease, const DlkEngine *engine, const DlkHandOver *to)
{
    DlkLeaseRecord *record = fill(writing, lease);

    record->pid = to->process ? dlk_pid_ref_pid(to->process) : 0;
    record->process_start = to->process ? dlk_pid_ref_start(to->process) : 0;
    record->lifetime = to->lifetime;
    record->on_break = to->on_break ? *to->on_break : lease->on_break;
    record->why = to->why ? to->why : lease->why;
    record->bus = to->bus_name ? engine->bus : NULL;
    record->bus_name = to->bus_name;
    return record;
}

gboolean
dlk_record_hand_over(DlkEngine *engine, DlkLease *const *leases, guint n, const DlkHandOver *to,
                     GError **error)
{
    g_autofree DlkLease **recorded = g_new(DlkLease *, n);
    g_autofree Writing *writings = g_new0(Writing, n);
    g_autofree DlkLeaseRecord *records = g_new0(DlkLeaseRecord, n);
    guint count = 0;

    for (guint i = 0; i < n; i++) {
        if (!is_recorded(leases[i]))
            continue;
        records[count] = *fill_hand_over(&writings[count], leases[i], engine, to);
        recorded[count++] = leases[i];
    }
    return count == 0 || replace_all(engine, recorded, records, count, error);
}

void
dlk_record_end(DlkEngine *engine, DlkLease *lease)
{
    DlkStored stored = {0};

    if (dlk_holding(lease))
        stored = dlk_record_take_stored(lease, TRUE);
    const gboolean written =
        lease->recorded_at <= 0 || dlk_lease_journal_strike(engine->lease_journal, lease->recorded_at);
    if (!written)
        try_later(engine);
    dlk_record_unstore(engine, &stored, written);
    lease->recorded_at = 0;
}

/* ---- the store ---- */

void
dlk_record_store(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);
    int fds[DLK_HOLD_PARTS];
    const guint n = dlk_hold_fds(holding->hold, fds);

    for (guint i = 0; i < n; i++)
        if (fds[i] >= 0 && holding->stored[i] == 0)
            holding->stored[i] = dlk_fd_store_add(engine->fd_store, fds[i]);
    if (holding->keep_fd >= 0 && holding->stored_keep == 0)
        holding->stored_keep = dlk_fd_store_add(engine->fd_store, holding->keep_fd);
}

DlkStored
dlk_record_take_stored(DlkLease *lease, gboolean all)
{
    DlkHolding *holding = dlk_holding(lease);
    DlkStored stored = {.keep = all ? holding->stored_keep : 0};

    memcpy(stored.parts, holding->stored, sizeof stored.parts);
    memset(holding->stored, 0, sizeof holding->stored);
    if (all)
        holding->stored_keep = 0;
    return stored;
}

void
dlk_record_unstore(DlkEngine *engine, const DlkStored *stored, gboolean written)
{
    /* During a start the file is still the earlier run's. */
    const gboolean at_once = written && dlk_lease_journal_is_open(engine->lease_journal);
    void (*remove)(DlkFdStore * store, guint number) = at_once ? dlk_fd_store_remove : dlk_fd_store_put_off;

    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        remove(engine->fd_store, stored->parts[i]);
    remove(engine->fd_store, stored->keep);
}
