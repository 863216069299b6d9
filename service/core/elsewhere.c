#include "core/elsewhere.h"

#include "core/authority.h"
#include "core/lock-job.h"
#include "model/pr-key.h"

#include <string.h>

const DlkHolder *
dlk_elsewhere_obstacle(GPtrArray *holders, DlkMode mode, gboolean strict, guint *others)
{
    const DlkHolder *first = NULL;
    guint count = 0;

    for (guint i = 0; i < holders->len; i++) {
        const DlkHolder *holder = g_ptr_array_index(holders, i);

        if (!dlk_mode_conflicts(holder->mode, mode, strict))
            continue;
        if (!first || (holder->confirmed && !first->confirmed)) {
            first = holder;
            count = 0;
        } else if (holder->confirmed == first->confirmed) {
            count++;
        }
    }
    if (others)
        *others = count;
    return first;
}

static gboolean
is_ours(DlkEngine *engine, const DlkHolder *holder, GPtrArray *leases)
{
    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);

        if (g_strcmp0(holder->host, engine->host_id) == 0 &&
            memcmp(&lease->id, &holder->lease, sizeof lease->id) == 0)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *
dlk_elsewhere_without_ours(DlkEngine *engine, GPtrArray *holders, GPtrArray *leases)
{
    GPtrArray *others = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);

    for (guint i = 0; i < holders->len; i++)
        if (!is_ours(engine, g_ptr_array_index(holders, i), leases))
            g_ptr_array_add(others, dlk_holder_ref(g_ptr_array_index(holders, i)));
    return others;
}

/* ---- for Inspect ---- */

static void
add_text(GVariantBuilder *holders, const char *key, const char *value)
{
    if (value)
        g_variant_builder_add(holders, "{sv}", key, g_variant_new_string(value));
}

/* What is not known is left out. */
static void
report_one(GVariantBuilder *holders, const DlkHolder *holder)
{
    static const DlkLeaseId no_lease = {0};
    char id[DLK_LEASE_ID_LENGTH + 1];

    dlk_lease_id_format(&holder->lease, id);
    g_variant_builder_open(holders, G_VARIANT_TYPE("a{sv}"));
    add_text(holders, "lease", memcmp(&holder->lease, &no_lease, sizeof no_lease) == 0 ? NULL : id);
    add_text(holders, "mode", dlk_mode_to_string(holder->mode));
    add_text(holders, "owner", holder->owner);
    add_text(holders, "owner-uuid", holder->owner_uuid);
    if (holder->uid != DLK_HOLDER_NO_UID)
        g_variant_builder_add(holders, "{sv}", "uid", g_variant_new_uint32(holder->uid));
    if (holder->pid != 0)
        g_variant_builder_add(holders, "{sv}", "pid", g_variant_new_uint32((guint32)holder->pid));
    add_text(holders, "host", holder->host);
    add_text(holders, "host-name", holder->host_name);
    if (holder->since != 0)
        g_variant_builder_add(holders, "{sv}", "since", g_variant_new_uint64((guint64)holder->since));
    if (holder->key != 0)
        g_variant_builder_add(holders, "{sv}", "key", g_variant_new_uint64(holder->key));
    g_variant_builder_add(holders, "{sv}", "this-host", g_variant_new_boolean(FALSE));
    g_variant_builder_add(holders, "{sv}", "unconfirmed", g_variant_new_boolean(!holder->confirmed));
    g_variant_builder_close(holders);
}

void
dlk_elsewhere_report(GVariantBuilder *report, GPtrArray *holders)
{
    for (guint i = 0; i < holders->len; i++)
        report_one(report, g_ptr_array_index(holders, i));
}

/* ---- for who is refused ---- */

typedef struct {
    DlkTarget *target;
    DlkRule *rule;
    DlkBackend *backend, *fallback;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_target_unref(input->target);
    dlk_rule_unref(input->rule);
    g_free(input);
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    DlkBackend *backend =
        dlk_lock_job_choose_backend(input->target, input->rule, input->backend, input->fallback, error);

    if (!backend || !dlk_backend_holders(backend, input->target, input->rule, holders, error))
        return NULL;
    return g_steal_pointer(&holders);
}

static const DlkJob holders_job = {"ask who holds", run, input_free, (GDestroyNotify)g_ptr_array_unref};

typedef struct {
    DlkLease *lease;
    DlkMode mode;
    DlkCaller *caller;
    char *busy; /* what the backend said */
    char *text;
} Question;

static void
question_free(gpointer data)
{
    Question *question = data;

    dlk_lease_unref(question->lease);
    dlk_caller_unref(question->caller);
    g_free(question->busy);
    g_free(question->text);
    g_free(question);
}

static void
on_may_inspect(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Question *question = g_task_get_task_data(task);
    const gboolean may = dlk_authority_ask_finish(g_task_get_source_object(task), result, NULL, NULL);

    g_task_return_pointer(task, may ? g_steal_pointer(&question->text) : NULL, g_free);
}

/* A record that no lock stands behind may be left of a dead host: it is told beside what the backend said. */
static char *
say(const Question *question, const DlkHolder *obstacle, guint others)
{
    g_autofree char *holder = dlk_holder_describe(obstacle);

    if (!obstacle->confirmed)
        return g_strdup_printf("%s; its records say: %s", question->busy, holder);
    g_autofree char *more =
        others > 0 ? g_strdup_printf("; %u more in the way: disklockctl inspect lists them", others) : NULL;
    return g_strdup_printf(
        "%s is %s: wait for it, or release it there; if that host is dead, disklockctl fence "
        "removes its hold%s",
        question->lease->path, holder, more ? more : "");
}

/* Who is registered and is no disklock at all is not to be waited for, nor fenced: the backend says it best.
 */
static gboolean
is_stranger(const DlkHolder *holder)
{
    return !holder->host && holder->key != 0 && !dlk_pr_key_is_known(holder->key);
}

static void
on_holders(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Question *question = g_task_get_task_data(task);
    const DlkLease *lease = question->lease;
    g_autoptr(GPtrArray) holders = dlk_pool_run_finish(engine->pool, result, NULL);
    /* The lease itself may stand, in another mode. */
    g_autoptr(GPtrArray) leases = dlk_table_overlapping(engine->table, lease->disk);
    g_autoptr(GPtrArray) elsewhere = holders ? dlk_elsewhere_without_ours(engine, holders, leases) : NULL;
    guint others = 0;
    const DlkHolder *obstacle =
        elsewhere ? dlk_elsewhere_obstacle(elsewhere, question->mode, lease->rule->strict_readers, &others)
                  : NULL;

    if (!obstacle || is_stranger(obstacle)) {
        g_task_return_pointer(task, NULL, NULL);
        return;
    }
    question->text = say(question, obstacle, others);
    /* As Inspect asks: the lease's owner and mode are the caller's own words, and a record is a hint. */
    dlk_authority_ask_async(engine, question->caller, "inspect",
                            dlk_authority_disk_details(lease->disk, lease->rule), FALSE, on_may_inspect,
                            g_steal_pointer(&task));
}

void
dlk_elsewhere_describe_async(DlkEngine *engine, const DlkRefused *refused, DlkCaller *caller,
                             GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(engine, NULL, callback, user_data);
    DlkRule *rule = refused->lease->rule;
    Question *question = g_new0(Question, 1);
    Input *input = g_new0(Input, 1);

    question->lease = dlk_lease_ref((DlkLease *)refused->lease);
    question->mode = refused->mode;
    question->caller = dlk_caller_ref(caller);
    question->busy = g_strdup(refused->busy);
    g_task_set_task_data(task, question, question_free);
    input->target = dlk_target_ref(refused->target);
    input->rule = dlk_rule_ref(rule);
    input->backend = refused->backend;
    input->fallback = refused->fallback;
    dlk_pool_run_async(engine->pool, &holders_job, input, dlk_rule_lane(rule, input->target->disk), NULL,
                       g_get_monotonic_time() + rule->unreachable_after, on_holders, task);
}

char *
dlk_elsewhere_describe_finish(GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}
