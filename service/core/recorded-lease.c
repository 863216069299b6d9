#include "core/recover.h"

static DlkPidRef *
find_process(GHashTable *processes, const DlkLeaseRecord *record)
{
    gpointer found;

    if (record->process_start == 0)
        return NULL;
    g_autofree char *key = g_strdup_printf("%d %" G_GUINT64_FORMAT, (int)record->pid, record->process_start);
    if (!g_hash_table_lookup_extended(processes, key, NULL, &found)) {
        found = dlk_pid_ref_new_again(record->pid, record->process_start);
        g_hash_table_insert(processes, g_steal_pointer(&key), found);
    }
    return found ? dlk_pid_ref_ref(found) : NULL;
}

static GRefString *
ref_string(const char *text)
{
    return text ? g_ref_string_new(text) : NULL;
}

DlkLease *
dlk_recorded_lease_new(DlkEngine *engine, const DlkLeaseRecord *record, GHashTable *processes)
{
    /* By the policy as it is now: what a rule of the same name says may be another thing. */
    DlkLease *lease =
        dlk_lease_new(record->disk, dlk_policy_match(engine->policy, record->disk), record->mode);

    lease->id = record->id;
    lease->token = record->token;
    lease->path = g_strdup(record->path);
    lease->backend = g_intern_string(record->backend);
    lease->state = record->state;
    lease->lifetime = record->lifetime;
    lease->on_break = record->on_break;
    lease->by_descriptor = record->by_descriptor;
    lease->uid = record->uid;
    lease->pid = record->pid;
    lease->process = find_process(processes, record);
    lease->acquired_at = lease->checked_at = record->acquired_at;
    lease->owner = ref_string(record->owner);
    lease->owner_uuid = ref_string(record->owner_uuid);
    lease->why = ref_string(record->why);
    lease->broken_reason = g_strdup(record->broken_reason);
    return lease;
}
