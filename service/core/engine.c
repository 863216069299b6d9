#include "backend/backends.h"
#include "backend/host-key.h"
#include "base/error.h"
#include "core/holding.h"
#include "host/policy-files.h"

#include <systemd/sd-id128.h>

G_DEFINE_FINAL_TYPE(DlkEngine, dlk_engine, G_TYPE_OBJECT)

/* Derived from the machine's id, and not it: sd_id128_get_machine_app_specific(3). Made with systemd-id128
 * new. */
static const sd_id128_t application_id =
    SD_ID128_MAKE(3c, 5e, 0b, 6a, f7, 2d, 4c, 88, 9b, 3e, 41, 70, d2, 5c, a9, 16);

static void
dlk_engine_init(DlkEngine *self)
{
    self->table = dlk_table_new();
}

/* What is still held stays written down for the next run, which gets the locks from the store or takes them
 * again; only this run's own books are closed here. */
static void
forget_leases(DlkEngine *self)
{
    DlkLease *lease;

    while ((lease = dlk_table_next(self->table, 0))) {
        DlkHolding *holding = dlk_holding(lease);

        if (holding) {
            g_autoptr(DlkHold) hold = g_steal_pointer(&holding->hold);

            dlk_monitor_forget(self, lease, hold->target);
            dlk_holding_unwatch(self, lease);
            dlk_holding_free(lease);
        }
        dlk_table_remove(self->table, lease);
    }
}

static void
dlk_engine_finalize(GObject *object)
{
    DlkEngine *self = DLK_ENGINE(object);

    dlk_engine_unwatch_progress(self);
    forget_leases(self);
    g_clear_pointer(&self->pool, dlk_pool_free);
    dlk_timers_cancel(self->timers, &self->due_timer);
    dlk_timers_cancel(self->timers, &self->record_timer);
    g_clear_pointer(&self->due, g_hash_table_unref);
    g_clear_pointer(&self->processes, g_hash_table_unref);
    g_clear_pointer(&self->connections, g_hash_table_unref);
    g_clear_pointer(&self->unclaimed, g_hash_table_unref);
    g_clear_pointer(&self->bus, g_ref_string_release);
    g_clear_pointer(&self->nvme_events, dlk_nvme_events_free);
    g_clear_pointer(&self->folder_watch, dlk_folder_watch_free);
    g_clear_pointer(&self->watcher, dlk_watcher_free);
    g_clear_pointer(&self->mounts, dlk_mount_table_free);
    g_clear_pointer(&self->timers, dlk_timers_free);
    g_clear_pointer(&self->tokens, dlk_tokens_free);
    g_clear_pointer(&self->policy, dlk_policy_unref);
    g_clear_pointer(&self->lease_journal, dlk_lease_journal_free);
    g_clear_pointer(&self->fd_store, dlk_fd_store_free);
    dlk_table_free(self->table);
    g_free(self->runtime_dir);
    g_free(self->config_file);
    g_clear_pointer(&self->host_id, g_ref_string_release);
    g_clear_pointer(&self->host_name, g_ref_string_release);
    G_OBJECT_CLASS(dlk_engine_parent_class)->finalize(object);
}

static void
dlk_engine_class_init(DlkEngineClass *klass)
{
    GType type = G_TYPE_FROM_CLASS(klass);

    G_OBJECT_CLASS(klass)->finalize = dlk_engine_finalize;
    g_signal_new("acquired", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("released", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("restored", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("at-risk", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_POINTER,
                 G_TYPE_STRING);
    g_signal_new("broken", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_POINTER,
                 G_TYPE_STRING);
    g_signal_new("policy-changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static GRefString *
derive_host_id(const DlkPolicy *policy)
{
    char text[SD_ID128_STRING_MAX];
    sd_id128_t id;

    if (policy->host_id)
        return g_ref_string_new(policy->host_id);
    if (sd_id128_get_machine_app_specific(application_id, &id) < 0)
        return g_ref_string_new(g_get_host_name());
    return g_ref_string_new(sd_id128_to_string(id, text));
}

static void
adopt_policy(DlkEngine *self, DlkPolicy *policy)
{
    g_clear_pointer(&self->policy, dlk_policy_unref);
    self->policy = policy;
    self->policy_generation++;
    g_clear_pointer(&self->host_id, g_ref_string_release);
    self->host_id = derive_host_id(policy);
    dlk_host_key_set_host(self->host_id);
}

/* What these events tell of the checks find too, only later; a unit without 50-reservations.conf may not
 * listen. */
static void
listen_to_nvme(DlkEngine *self)
{
    g_autoptr(GError) error = NULL;

    self->nvme_events = dlk_nvme_events_new(NULL, dlk_monitor_namespaces_stirred, self, &error);
    if (!self->nvme_events)
        g_debug("%s; what other hosts do to a namespace of NVMe is found by the next check", error->message);
}

static gboolean
open_watches(DlkEngine *self, GError **error)
{
    self->timers = dlk_timers_new(NULL);
    self->pool = dlk_pool_new(NULL);
    self->tokens = dlk_tokens_new(self->runtime_dir, error);
    if (!self->tokens)
        return FALSE;
    self->mounts = dlk_mount_table_new(NULL, error);
    if (!self->mounts)
        return FALSE;
    self->watcher = dlk_watcher_new(NULL, error);
    if (!self->watcher)
        return FALSE;
    self->fd_store = dlk_fd_store_new();
    self->lease_journal = dlk_lease_journal_open(self->runtime_dir, error);
    if (!self->lease_journal)
        return FALSE;
    listen_to_nvme(self);
    self->folder_watch = dlk_folder_watch_new(NULL, dlk_monitor_disk_stirred, self, error);
    return self->folder_watch != NULL;
}

DlkEngine *
dlk_engine_new(const char *runtime_dir, const char *config_file, GError **error)
{
    g_autoptr(DlkEngine) self = g_object_new(DLK_TYPE_ENGINE, NULL);
    DlkPolicy *policy;

    self->runtime_dir = g_strdup(runtime_dir);
    self->config_file = g_strdup(config_file);
    self->host_name = g_ref_string_new(g_get_host_name());
    dlk_holding_init_engine(self);
    dlk_monitor_init_engine(self);
    if (!open_watches(self, error))
        return NULL;
    policy = dlk_policy_files_load(config_file, NULL, dlk_backends_names(), error);
    if (!policy)
        return NULL;
    adopt_policy(self, policy);
    return g_steal_pointer(&self);
}

static void
journal_policy_refused(const GError *problem)
{
    const DlkLogField fields[] = {{"DISKLOCK_REASON", problem->message}, {0}};
    g_autofree char *text = g_strdup_printf("The policy stays as it was: %s", problem->message);

    dlk_log_event(DLK_EVENT_POLICY_REFUSED, fields, text);
}

gboolean
dlk_engine_reload(DlkEngine *self, GError **error)
{
    GError *problem = NULL;
    DlkPolicy *policy = dlk_policy_files_load(self->config_file, NULL, dlk_backends_names(), &problem);

    if (!policy) {
        journal_policy_refused(problem);
        g_propagate_error(error, problem);
        return FALSE;
    }
    adopt_policy(self, policy);
    dlk_log_event(DLK_EVENT_POLICY_READ, NULL, "The policy was read again");
    g_signal_emit_by_name(self, "policy-changed");
    return TRUE;
}

void
dlk_engine_set_polkit(DlkEngine *self, DlkPolkit *polkit)
{
    self->polkit = polkit;
}

void
dlk_engine_drop(DlkEngine *self, gpointer data, GDestroyNotify free_data, const char *lane)
{
    dlk_pool_drop(self->pool, data, free_data, lane);
}

const char *
dlk_engine_host_id(DlkEngine *self)
{
    return self->host_id;
}

const DlkLimits *
dlk_engine_limits(DlkEngine *self)
{
    return &self->policy->limits;
}

guint64
dlk_engine_policy_generation(DlkEngine *self)
{
    return self->policy_generation;
}

DlkTable *
dlk_engine_table(DlkEngine *self)
{
    return self->table;
}
