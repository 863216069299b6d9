#pragma once

#include "core/internal.h"
#include "host/related.h"
#include "model/pr-state.h"

/** DlkSurvey: what a worker found out about a disk that nobody asked to lock. */
typedef struct {
    const char *backend;     /* that would lock it: interned, or "" where none can */
    GPtrArray *foreign;      /* of DlkForeign; %NULL: could not be asked */
    char *problem;           /* why not, or %NULL */
    DlkPrState *reservation; /* as the disk tells it, where the rule locks by reservations; or %NULL */
    GPtrArray *related;      /* of DlkRelated */
    char *reach_limit;       /* why such a lock keeps out nobody on other hosts, or %NULL */
    char *unseen_loss;       /* why it may be lost unseen, or %NULL */
    GPtrArray *holders;      /* of DlkHolder, whom records name; %NULL: could not be asked */
} DlkSurvey;

void dlk_survey_free(DlkSurvey *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkSurvey, dlk_survey_free)

/** Looks at @target, which matches @rule, in a worker; locks nothing. @queue: as dlk_identification_start().
 */
void dlk_survey_job_run(DlkEngine *engine, DlkTarget *target, DlkRule *rule, const char *queue,
                        GAsyncReadyCallback callback, gpointer user_data);
DlkSurvey *dlk_survey_job_finish(DlkEngine *engine, GAsyncResult *result, GError **error);
