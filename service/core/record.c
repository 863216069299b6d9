#include "core/record.h"

#include "base/log.h"
#include "core/holding.h"
#include "core/leftover.h"

#include <string.h>

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
    record->risk_since = holding->risk_since;
    record->fds = list_names(holding->stored, writing->fds);
    if (holding->stored_keep != 0) {
        dlk_fd_store_name(holding->stored_keep, writing->keep);
        record->keep = writing->keep;
    }
    record->bus_name = holding->bus_name;
    if (holding->provisional && holding->hold)
        record->other_mode = ((const DlkLeftover *)holding->hold->state)->other_mode;
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
        .uid = lease->uid,
        .pid = lease->pid,
        .process_start = lease->process ? dlk_pid_ref_start(lease->process) : 0,
        .acquired_at = lease->acquired_at,
        .owner = lease->owner,
        .owner_uuid = lease->owner_uuid,
        .why = lease->why,
        .broken_reason = lease->broken_reason,
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

void
dlk_record_rewrite(DlkEngine *engine)
{
    g_autofree Rewriting *rewriting = g_new0(Rewriting, 1);
    g_autoptr(GError) error = NULL;

    rewriting->engine = engine;
    if (!dlk_lease_journal_rewrite(engine->lease_journal, next_record, rewriting, &error))
        dlk_log_event(DLK_EVENT_RECORD_DAMAGED, NULL, error->message);
}

static void
rewrite_if_stale(DlkEngine *engine)
{
    if (dlk_lease_journal_is_stale(engine->lease_journal))
        dlk_record_rewrite(engine);
}

/* The new record first: of two that stand the later counts. */
static void
replace(DlkEngine *engine, DlkLease *lease, DlkLeaseRecord *record)
{
    g_autoptr(GError) error = NULL;
    gint64 place;

    /* One that has ended, or is not granted yet, is not to be written down. */
    if (lease->recorded_at == 0)
        return;
    rewrite_if_stale(engine);
    if (!dlk_lease_journal_append(engine->lease_journal, record, 1, &place, &error)) {
        dlk_journal_lease(DLK_EVENT_RECORD_DAMAGED, lease, error->message, "%s: %s", lease->path,
                          error->message);
        return;
    }
    dlk_lease_journal_strike(engine->lease_journal, lease->recorded_at);
    lease->recorded_at = place;
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
            dlk_record_unstore(engine, leases[i], TRUE);
    return written;
}

void
dlk_record_change(DlkEngine *engine, DlkLease *lease)
{
    Writing writing;

    replace(engine, lease, fill(&writing, lease));
}

void
dlk_record_conversion(DlkEngine *engine, DlkLease *lease, DlkMode mode, const guint spares[DLK_HOLD_PARTS])
{
    Writing writing;
    DlkLeaseRecord *record = fill(&writing, lease);

    record->other_mode = mode;
    record->spares = list_names(spares, writing.spares);
    replace(engine, lease, record);
}

void
dlk_record_suspension(DlkEngine *engine, DlkLease *lease)
{
    Writing writing;
    DlkLeaseRecord *record = fill(&writing, lease);

    record->state = DLK_STATE_SUSPENDED;
    record->risk_since = 0;
    replace(engine, lease, record);
}

void
dlk_record_end(DlkEngine *engine, DlkLease *lease)
{
    if (lease->recorded_at != 0)
        dlk_lease_journal_strike(engine->lease_journal, lease->recorded_at);
    lease->recorded_at = 0;
    if (dlk_holding(lease))
        dlk_record_unstore(engine, lease, TRUE);
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

void
dlk_record_unstore(DlkEngine *engine, DlkLease *lease, gboolean all)
{
    DlkHolding *holding = dlk_holding(lease);

    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        dlk_fd_store_remove(engine->fd_store, holding->stored[i]);
        holding->stored[i] = 0;
    }
    if (!all)
        return;
    dlk_fd_store_remove(engine->fd_store, holding->stored_keep);
    holding->stored_keep = 0;
}
