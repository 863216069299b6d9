#include "core/survey-job.h"

#include "backend/backends.h"
#include "backend/foreign.h"
#include "backend/pr-paths.h"
#include "backend/reach.h"
#include "base/error.h"
#include "core/lock-job.h"

typedef struct {
    DlkTarget *target;
    DlkRule *rule;
    DlkBackend *backend, *fallback;
    DlkMounts *mounts;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_target_unref(input->target);
    dlk_rule_unref(input->rule);
    dlk_mounts_unref(input->mounts);
    g_free(input);
}

void
dlk_survey_free(DlkSurvey *self)
{
    g_clear_pointer(&self->foreign, g_ptr_array_unref);
    g_clear_pointer(&self->related, g_ptr_array_unref);
    g_clear_pointer(&self->holders, g_ptr_array_unref);
    g_clear_pointer(&self->reservation, dlk_pr_state_free);
    g_free(self->problem);
    g_free(self->reach_limit);
    g_free(self->unseen_loss);
    g_free(self);
}

static void
note_problem(DlkSurvey *survey, const GError *problem)
{
    if (problem && !survey->problem)
        survey->problem = g_strdup(problem->message);
}

/* Without a backend there is nobody to ask. */
static void
find_holders(DlkSurvey *survey, const Input *input, DlkBackend *backend)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    g_autoptr(GError) problem = NULL;

    if (!backend || dlk_backend_holders(backend, input->target, input->rule, holders, &problem))
        survey->holders = g_steal_pointer(&holders);
    note_problem(survey, problem);
}

/* A disk that the rule does not lock by reservations may not know the command: there are those that hang. */
static void
read_reservation(DlkSurvey *survey, const Input *input)
{
    if (!dlk_rule_names_backend(input->rule, "scsi"))
        return;
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(input->target, NULL);
    survey->reservation = paths ? dlk_pr_paths_read(paths, NULL) : NULL;
}

/* The one that would lock the disk; %NULL: none can, or FALSE: nobody knows. */
static gboolean
find_backend(DlkSurvey *survey, const Input *input, DlkBackend **backend)
{
    g_autoptr(GError) problem = NULL;

    *backend = input->backend ? dlk_lock_job_choose_backend(input->target, input->rule, input->backend,
                                                            input->fallback, &problem)
                              : NULL;
    note_problem(survey, problem);
    return !problem || g_error_matches(problem, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    DlkSurvey *survey = g_new0(DlkSurvey, 1);
    g_autoptr(GError) problem = NULL;
    DlkBackend *backend;

    if (find_backend(survey, input, &backend))
        find_holders(survey, input, backend);
    survey->backend = backend ? dlk_backend_name(backend) : "";
    survey->reach_limit = backend ? dlk_reach_limit(backend, input->target, input->rule) : NULL;
    survey->unseen_loss =
        backend && !survey->reach_limit ? dlk_reach_unseen_loss(backend, input->target, input->rule) : NULL;
    survey->related = dlk_related_find(input->mounts, input->target, &dlk_devices);
    survey->foreign = dlk_foreign_find(input->target, 0, &problem);
    note_problem(survey, problem);
    read_reservation(survey, input);
    return survey;
}

static const DlkJob survey_job = {"inspect", run, input_free, (GDestroyNotify)dlk_survey_free};

void
dlk_survey_job_run(DlkEngine *engine, DlkTarget *target, DlkRule *rule, const char *queue,
                   GAsyncReadyCallback callback, gpointer user_data)
{
    Input *input = g_new0(Input, 1);

    input->target = dlk_target_ref(target);
    input->rule = dlk_rule_ref(rule);
    input->mounts = dlk_mounts_ref(dlk_mount_table_get(engine->mounts));
    input->backend = rule->deny ? NULL : dlk_backends_get(rule->backends[0]);
    input->fallback = rule->fallback == DLK_FALLBACK_HOST ? dlk_backends_get("host") : NULL;
    g_autofree char *lane = g_strconcat(queue, dlk_rule_lane(rule, target->disk), NULL);
    dlk_pool_run_async(engine->pool, &survey_job, input, lane, NULL,
                       g_get_monotonic_time() + rule->unreachable_after, callback, user_data);
}

DlkSurvey *
dlk_survey_job_finish(DlkEngine *engine, GAsyncResult *result, GError **error)
{
    return dlk_pool_run_finish(engine->pool, result, error);
}
