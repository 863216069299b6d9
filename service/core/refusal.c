#include "base/text.h"
#include "core/authority.h"
#include "core/holding.h"

#include <string.h>

/* Has the on-break action come to nothing? Then it is for people to stop the process. */
static gboolean
has_failed(const DlkLease *holder)
{
    return holder->state == DLK_STATE_BROKEN && dlk_holding(holder) && dlk_holding(holder)->action_failed;
}

static const char *
describe_action(const DlkLease *holder)
{
    const gboolean failed = has_failed(holder);

    if (holder->on_break == DLK_ON_BREAK_EXEC)
        return failed ? "on-break program has failed" : "on-break program is at work";
    if (failed)
        return "process could not be stopped";
    return dlk_holding(holder)->stopping
               ? "process is being stopped, which takes as long as it waits for a storage"
               : "process is being stopped";
}

char *
dlk_refusal_describe_holder(const DlkLease *holder)
{
    GString *text = g_string_new(NULL);
    g_autofree char *since = dlk_text_time(holder->acquired_at);

    if (holder->phase == DLK_PHASE_LOCKING)
        g_string_append_printf(text, "is being taken %s by %s", dlk_mode_adverb(holder->mode), holder->owner);
    else if (holder->phase == DLK_PHASE_WAITING)
        g_string_append_printf(text, "is waited for by %s, who came first", holder->owner);
    else if (holder->phase == DLK_PHASE_ENDING)
        g_string_append_printf(text, "is being released by %s, and the storage has not yet let go",
                               holder->owner);
    else if (holder->state == DLK_STATE_BROKEN)
        g_string_append_printf(text, "was held by %s, whose lease is broken and whose %s", holder->owner,
                               describe_action(holder));
    else
        g_string_append_printf(text, "is held %s by %s", dlk_mode_adverb(holder->mode), holder->owner);

    if (holder->process) {
        g_autofree char *command = dlk_pid_ref_command(holder->process);

        g_string_append_printf(text, " (%s, pid %d, uid %u)", command, (int)holder->pid, holder->uid);
    } else
        g_string_append_printf(text, " (uid %u)", holder->uid);
    if (holder->phase == DLK_PHASE_HELD)
        g_string_append_printf(text, " on this host since %s", since);
    return g_string_free(text, FALSE);
}

/* What the caller may read if he may know who is in the way. */
static char *
describe(const DlkLease *lease, const DlkLease *obstacle, guint in_the_way)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    g_autofree char *holder = dlk_refusal_describe_holder(obstacle);
    GString *text = g_string_new(lease->path);

    if (!g_str_equal(lease->disk->id, obstacle->disk->id))
        g_string_append_printf(text, " overlaps %s, which", obstacle->path);
    g_string_append_printf(text, " %s", holder);
    dlk_lease_id_format(&obstacle->id, id);
    if (has_failed(obstacle))
        g_string_append_printf(text, "; stop that process, then: disklockctl release %.*s",
                               DLK_LEASE_ID_PREFIX, id);
    else if (obstacle->phase == DLK_PHASE_HELD && obstacle->state != DLK_STATE_BROKEN)
        g_string_append_printf(text, "; lease %.*s: wait for it, or release it if %s is done",
                               DLK_LEASE_ID_PREFIX, id, obstacle->owner);
    if (in_the_way > 1)
        g_string_append_printf(text, "; %u more in the way: disklockctl inspect lists them", in_the_way - 1);
    return g_string_free(text, FALSE);
}

typedef struct {
    char *full;
    char *guarded;
} Texts;

static void
texts_free(gpointer data)
{
    Texts *texts = data;

    g_free(texts->full);
    g_free(texts->guarded);
    g_free(texts);
}

static void
on_may_inspect(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Texts *texts = g_task_get_task_data(task);
    gboolean may = dlk_authority_ask_finish(g_task_get_source_object(task), result, NULL, NULL);

    g_task_return_pointer(task, g_strdup(may ? texts->full : texts->guarded), g_free);
}

void
dlk_refusal_describe_async(DlkEngine *engine, const DlkLease *lease, DlkMode mode, DlkLease *obstacle,
                           DlkCaller *caller, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(engine, NULL, callback, user_data);
    Texts *texts = g_new0(Texts, 1);

    texts->full = describe(lease, obstacle, dlk_table_count_conflicts(engine->table, lease, mode));
    texts->guarded = g_strdup_printf("%s is in use by a lease of another user: wait for it, or ask an "
                                     "administrator whose it is (polkit's %sinspect would let you see)",
                                     lease->path, DLK_ACTION_PREFIX);
    g_task_set_task_data(task, texts, texts_free);
    if (caller->uid == 0 || caller->uid == obstacle->uid) {
        g_task_return_pointer(task, g_strdup(texts->full), g_free);
        return;
    }
    dlk_authority_ask_async(engine, caller, "inspect", dlk_authority_lease_details(obstacle, obstacle->mode),
                            FALSE, on_may_inspect, g_steal_pointer(&task));
}

char *
dlk_refusal_describe_finish(GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}

void
dlk_refusal_name_disk(GError **error, const DlkLease *lease)
{
    if (*error && !strstr((*error)->message, lease->path) &&
        !strstr((*error)->message, dlk_disk_label(lease->disk)))
        g_prefix_error(error, "%s: ", lease->path);
}
