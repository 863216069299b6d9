#include "core/authority.h"

#include "base/error.h"

typedef struct {
    DlkAnswer answer;
    char *why;
} Answer;

static void
answer_free(gpointer data)
{
    Answer *answer = data;

    g_free(answer->why);
    g_free(answer);
}

static void
return_answer(GTask *task, DlkAnswer value, char *why)
{
    Answer *answer = g_new0(Answer, 1);

    answer->answer = value;
    answer->why = why;
    g_task_return_pointer(task, answer, answer_free);
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    char *why = NULL;
    DlkAnswer answer = dlk_polkit_check_finish(g_task_get_task_data(task), result, &why);

    return_answer(task, answer, why);
}

void
dlk_authority_ask_async(DlkEngine *engine, DlkCaller *caller, const char *action, GVariant *details,
                        gboolean interactive, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(engine, NULL, callback, user_data);
    g_autoptr(GVariant) sunk = details ? g_variant_ref_sink(details) : NULL;

    g_task_set_name(task, action);
    if (caller->uid == 0) {
        return_answer(task, DLK_ANSWER_YES, NULL);
    } else if (!engine->polkit) {
        return_answer(task, DLK_ANSWER_NO, g_strdup("there is no way to polkit"));
    } else {
        g_task_set_task_data(task, engine->polkit, NULL);
        dlk_polkit_check_async(engine->polkit, caller, action, sunk, interactive, on_answer,
                               g_steal_pointer(&task));
    }
}

gboolean
dlk_authority_ask_finish(DlkEngine *engine, GAsyncResult *result, gboolean *prompted, GError **error)
{
    const char *action = g_task_get_name(G_TASK(result));
    Answer *answer = g_task_propagate_pointer(G_TASK(result), NULL);
    DlkAnswer value = answer->answer;
    g_autofree char *why = g_steal_pointer(&answer->why);

    answer_free(answer);
    if (value == DLK_ANSWER_YES_AFTER_PROMPT && prompted)
        *prompted = TRUE;
    if (value == DLK_ANSWER_YES || value == DLK_ANSWER_YES_AFTER_PROMPT)
        return TRUE;
    if (value == DLK_ANSWER_CHALLENGE && prompted && *prompted)
        return TRUE;
    if (value == DLK_ANSWER_CHALLENGE) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INTERACTION_REQUIRED,
                    "polkit wants a password for %s%s, and the call does not allow to ask for one",
                    DLK_ACTION_PREFIX, action);
        return FALSE;
    }
    if (why)
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED, "%s%s is not allowed: %s", DLK_ACTION_PREFIX,
                    action, why);
    else
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED, "polkit does not allow %s%s",
                    DLK_ACTION_PREFIX, action);
    return FALSE;
}
