#include "backend/foreign.h"
#include "base/error.h"
#include "base/text.h"
#include "core/authority.h"
#include "core/elsewhere.h"
#include "core/lock-job.h"
#include "core/reservation-report.h"
#include "core/survey-job.h"

/* What a disk is, which rule it falls under, and who has it: the a{sv} of the contract. */
typedef struct {
    DlkInspecting what; /* its path is ours */
    char *queue;        /* a user's questions wait for each other, never a lock or a check for them */
    DlkTarget *target;
    DlkRule *rule;
} Inspection;

static void
inspection_free(gpointer data)
{
    Inspection *inspection = data;

    g_assert(inspection->target == NULL);
    g_clear_pointer(&inspection->rule, dlk_rule_unref);
    dlk_caller_unref(inspection->what.caller);
    g_free((char *)inspection->what.path);
    g_free(inspection->queue);
    g_free(inspection);
}

static gboolean
holds(const DlkLease *lease)
{
    return lease->phase != DLK_PHASE_BROKEN;
}

static void
add_holder(GVariantBuilder *holders, DlkEngine *engine, const DlkLease *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];

    dlk_lease_id_format(&lease->id, id);
    g_variant_builder_open(holders, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(holders, "{sv}", "lease", g_variant_new_string(id));
    g_variant_builder_add(holders, "{sv}", "mode", g_variant_new_string(dlk_mode_to_string(lease->mode)));
    g_variant_builder_add(holders, "{sv}", "owner", g_variant_new_string(lease->owner));
    g_variant_builder_add(holders, "{sv}", "uid", g_variant_new_uint32(lease->uid));
    g_variant_builder_add(holders, "{sv}", "pid", g_variant_new_uint32((guint32)lease->pid));
    g_variant_builder_add(holders, "{sv}", "host", g_variant_new_string(engine->host_id));
    g_variant_builder_add(holders, "{sv}", "since", g_variant_new_uint64((guint64)lease->acquired_at));
    g_variant_builder_add(holders, "{sv}", "host-name", g_variant_new_string(engine->host_name));
    g_variant_builder_add(holders, "{sv}", "this-host", g_variant_new_boolean(TRUE));
    g_variant_builder_add(holders, "{sv}", "unconfirmed", g_variant_new_boolean(FALSE));
    g_variant_builder_close(holders);
}

static gboolean
is_held(GPtrArray *leases, const char *disk_id)
{
    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);

        if (holds(lease) && g_str_equal(lease->disk->id, disk_id))
            return TRUE;
    }
    return FALSE;
}

static void
add_relative(GVariantBuilder *related, const char *id, const char *path, const char *relation, gboolean held)
{
    g_variant_builder_open(related, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(related, "{sv}", "disk", g_variant_new_string(id));
    if (path)
        g_variant_builder_add(related, "{sv}", "path", g_variant_new_string(path));
    g_variant_builder_add(related, "{sv}", "relation", g_variant_new_string(relation));
    g_variant_builder_add(related, "{sv}", "held", g_variant_new_boolean(held));
    g_variant_builder_close(related);
}

static gboolean
is_listed(GPtrArray *found, const char *disk_id)
{
    for (guint i = 0; i < found->len; i++)
        if (g_str_equal(((DlkRelated *)g_ptr_array_index(found, i))->id, disk_id))
            return TRUE;
    return FALSE;
}

/* What the host knows of, held or not, and what only a lease knows of: a disk that has gone since, say. */
static void
add_related(GVariantBuilder *report, const DlkDisk *disk, GPtrArray *leases, GPtrArray *found)
{
    GVariantBuilder related;

    g_variant_builder_init(&related, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < found->len; i++) {
        const DlkRelated *other = g_ptr_array_index(found, i);

        add_relative(&related, other->id, other->path, other->relation, is_held(leases, other->id));
    }
    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);
        gboolean contains =
            disk->ancestors && g_strv_contains((const char *const *)disk->ancestors, lease->disk->id);

        if (!g_str_equal(lease->disk->id, disk->id) && !is_listed(found, lease->disk->id))
            add_relative(&related, lease->disk->id, lease->path, contains ? "contains" : "part",
                         holds(lease));
    }
    g_variant_builder_add(report, "{sv}", "related", g_variant_builder_end(&related));
}

/* A user of the disk for whose process a lease was taken is no foreigner. */
static gboolean
is_explained(const DlkForeign *foreign, GPtrArray *leases, const DlkDisk *disk)
{
    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);

        if (foreign->pid != 0 && lease->process && lease->pid == foreign->pid && holds(lease) &&
            g_str_equal(lease->disk->id, disk->id))
            return TRUE;
    }
    return FALSE;
}

static guint
add_foreign(GVariantBuilder *report, const DlkSurvey *survey, GPtrArray *leases, const DlkDisk *disk)
{
    GVariantBuilder array;
    guint n = 0;

    g_variant_builder_init(&array, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; survey->foreign && i < survey->foreign->len; i++) {
        const DlkForeign *foreign = g_ptr_array_index(survey->foreign, i);

        if (is_explained(foreign, leases, disk))
            continue;
        n++;
        g_variant_builder_open(&array, G_VARIANT_TYPE("a{sv}"));
        g_variant_builder_add(&array, "{sv}", "pid", g_variant_new_uint32((guint32)foreign->pid));
        g_variant_builder_add(&array, "{sv}", "command", g_variant_new_string(foreign->command));
        g_variant_builder_add(&array, "{sv}", "what", g_variant_new_string(foreign->what));
        if (foreign->where)
            g_variant_builder_add(&array, "{sv}", "where", g_variant_new_string(foreign->where));
        g_variant_builder_add(&array, "{sv}", "writes", g_variant_new_boolean(foreign->writes));
        g_variant_builder_close(&array);
    }
    g_variant_builder_add(report, "{sv}", "foreign", g_variant_builder_end(&array));
    return n;
}

static gboolean
is_any_confirmed(GPtrArray *elsewhere)
{
    for (guint i = 0; elsewhere && i < elsewhere->len; i++)
        if (((DlkHolder *)g_ptr_array_index(elsewhere, i))->confirmed)
            return TRUE;
    return FALSE;
}

/* @elsewhere: who has it on other hosts; %NULL: nobody knows. */
static const char *
state_of(const DlkSurvey *survey, GPtrArray *leases, GPtrArray *elsewhere, guint n_foreign)
{
    /* Of an overlapping disk too: who has the whole has its parts. */
    for (guint i = 0; i < leases->len; i++)
        if (holds(g_ptr_array_index(leases, i)))
            return "held";
    if (is_any_confirmed(elsewhere))
        return "held-elsewhere";
    if (n_foreign > 0)
        return "in-use";
    return survey->foreign && elsewhere ? "free" : "unknown";
}

static void
add_holders(GVariantBuilder *report, DlkEngine *engine, const DlkDisk *disk, GPtrArray *leases,
            GPtrArray *elsewhere)
{
    GVariantBuilder holders;

    g_variant_builder_init(&holders, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);

        if (holds(lease) && g_str_equal(lease->disk->id, disk->id))
            add_holder(&holders, engine, lease);
    }
    if (elsewhere)
        dlk_elsewhere_report(&holders, elsewhere);
    g_variant_builder_add(report, "{sv}", "holders", g_variant_builder_end(&holders));
}

static gboolean
is_available(DlkEngine *engine, const Inspection *inspection, const DlkSurvey *survey, GPtrArray *elsewhere,
             DlkMode mode)
{
    const DlkRule *rule = inspection->rule;
    const DlkHolder *obstacle =
        elsewhere ? dlk_elsewhere_obstacle(elsewhere, mode, rule->strict_readers, NULL) : NULL;
    g_autoptr(DlkLease) lease = dlk_lease_new(inspection->target->disk, inspection->rule, mode);

    return !rule->deny && rule->modes & 1U << mode && survey->backend[0] != '\0' && survey->foreign &&
           elsewhere && !(obstacle && obstacle->confirmed) && !dlk_table_conflict(engine->table, lease) &&
           !dlk_foreign_obstacle(survey->foreign, mode, rule->strict_readers);
}

/* The modes that Acquire would grant at this moment: the answer to a question that whoever reads the rest
 * would get wrong, because rules, overlapping disks and foreign locks all count. */
static void
add_available(GVariantBuilder *report, DlkEngine *engine, const Inspection *inspection,
              const DlkSurvey *survey, GPtrArray *elsewhere)
{
    GVariantBuilder modes;

    g_variant_builder_init(&modes, G_VARIANT_TYPE("as"));
    for (DlkMode mode = 0; mode < DLK_N_MODES; mode++)
        if (is_available(engine, inspection, survey, elsewhere, mode))
            g_variant_builder_add(&modes, "s", dlk_mode_to_string(mode));
    g_variant_builder_add(report, "{sv}", "available", g_variant_builder_end(&modes));
}

/* Whom a lease would keep out, and why not more. */
static void
add_reach(GVariantBuilder *report, const DlkSurvey *survey)
{
    if (survey->backend[0] == '\0')
        return;
    g_variant_builder_add(report, "{sv}", "reach",
                          g_variant_new_string(survey->reach_limit ? "this host" : "every host"));
    if (survey->reach_limit)
        g_variant_builder_add(report, "{sv}", "reach-limit", g_variant_new_string(survey->reach_limit));
    if (survey->unseen_loss)
        g_variant_builder_add(report, "{sv}", "unseen-loss", g_variant_new_string(survey->unseen_loss));
}

static GVariant *
make_report(DlkEngine *engine, const Inspection *inspection, const DlkSurvey *survey)
{
    const DlkDisk *disk = inspection->target->disk;
    g_autoptr(GPtrArray) leases = dlk_table_overlapping(engine->table, disk);
    g_autoptr(GPtrArray) elsewhere =
        survey->holders ? dlk_elsewhere_without_ours(engine, survey->holders, leases) : NULL;
    GVariantBuilder report;
    guint n_foreign;

    g_variant_builder_init(&report, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&report, "{sv}", "path", g_variant_new_string(inspection->what.path));
    g_variant_builder_add(&report, "{sv}", "disk", g_variant_new_string(disk->id));
    g_variant_builder_add(&report, "{sv}", "kind", g_variant_new_string(dlk_kind_to_string(disk->kind)));
    g_variant_builder_add(&report, "{sv}", "rule", g_variant_new_string(inspection->rule->name));
    g_variant_builder_add(&report, "{sv}", "backend", g_variant_new_string(survey->backend));
    if (disk->kind == DLK_KIND_BLOCK) {
        g_variant_builder_add(&report, "{sv}", "wwid", g_variant_new_string(disk->wwid ? disk->wwid : ""));
        g_variant_builder_add(&report, "{sv}", "reservation", dlk_reservation_report(survey->reservation));
    }
    if (survey->problem)
        g_variant_builder_add(&report, "{sv}", "problem", g_variant_new_string(survey->problem));
    add_reach(&report, survey);
    add_holders(&report, engine, disk, leases, elsewhere);
    add_related(&report, disk, leases, survey->related);
    n_foreign = add_foreign(&report, survey, leases, disk);
    add_available(&report, engine, inspection, survey, elsewhere);
    g_variant_builder_add(&report, "{sv}", "state",
                          g_variant_new_string(state_of(survey, leases, elsewhere, n_foreign)));
    return g_variant_ref_sink(g_variant_builder_end(&report));
}

static void
on_surveyed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Inspection *inspection = g_task_get_task_data(task);
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkSurvey) survey = dlk_survey_job_finish(engine, result, &error);

    if (survey) {
        g_task_return_pointer(task, make_report(engine, inspection, survey), (GDestroyNotify)g_variant_unref);
    } else {
        g_prefix_error(&error, "%s: ", inspection->what.path);
        g_task_return_error(task, g_steal_pointer(&error));
    }
    dlk_lock_job_drop_target(engine, g_steal_pointer(&inspection->target));
}

static void
on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Inspection *inspection = g_task_get_task_data(task);
    GError *error = NULL;

    if (!dlk_authority_ask_finish(engine, result, &inspection->what.prompted, &error)) {
        g_prefix_error(&error, "%s: ", inspection->what.path);
        g_task_return_error(task, error);
        dlk_lock_job_drop_target(engine, g_steal_pointer(&inspection->target));
        return;
    }
    dlk_survey_job_run(engine, inspection->target, inspection->rule, inspection->queue, on_surveyed,
                       g_object_ref(task));
}

/* polkit said yes to a path; where that leads is known only now. */
static void
authorise_disk(DlkEngine *engine, GTask *task)
{
    Inspection *inspection = g_task_get_task_data(task);
    DlkInspecting *what = &inspection->what;
    const DlkDisk *disk = inspection->target->disk;
    const gboolean prompts = dlk_authority_prompts(disk, what->path, what->interactive, &what->prompted);

    dlk_authority_ask_async(engine, what->caller, "inspect",
                            dlk_authority_disk_details(disk, inspection->rule), prompts, on_disk_authorised,
                            g_object_ref(task));
}

static void
on_identified(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Inspection *inspection = g_task_get_task_data(task);
    GError *error = NULL;

    inspection->target = dlk_identification_finish(result, &error);
    if (!inspection->target) {
        g_task_return_error(task, error);
        return;
    }
    inspection->rule = dlk_rule_ref(dlk_policy_match(engine->policy, inspection->target->disk));
    authorise_disk(engine, task);
}

void
dlk_engine_inspect_async(DlkEngine *self, const DlkInspecting *inspecting, GAsyncReadyCallback callback,
                         gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Inspection *inspection = g_new0(Inspection, 1);

    inspection->what = *inspecting;
    inspection->what.caller = dlk_caller_ref(inspecting->caller);
    inspection->what.path = g_strdup(inspecting->path);
    inspection->queue = g_strdup_printf("inspect %u ", inspecting->caller->uid);
    g_task_set_task_data(task, inspection, inspection_free);
    dlk_identification_start(self, inspecting->path, -1, DLK_MODE_READ_ONLY, 0, inspection->queue,
                             on_identified, g_object_ref(task));
}

GVariant *
dlk_engine_inspect_finish(DlkEngine *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
