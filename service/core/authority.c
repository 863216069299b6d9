#include "core/authority.h"

#include "base/error.h"
#include "base/text.h"

#include <stdarg.h>

typedef struct {
    DlkAnswer answer;
    char *action; /* that it is about */
    char *why;
} Answer;

static void
answer_free(gpointer data)
{
    Answer *answer = data;

    g_free(answer->action);
    g_free(answer->why);
    g_free(answer);
}

static void
return_answer(GTask *task, DlkAnswer value, char *why)
{
    Answer *answer = g_new0(Answer, 1);

    answer->answer = value;
    answer->action = g_strdup(g_task_get_name(task));
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
    const guint most = engine->policy->limits.questions_per_uid;

    g_task_set_name(task, action);
    if (caller->uid == 0) {
        return_answer(task, DLK_ANSWER_YES, NULL);
    } else if (!engine->polkit) {
        return_answer(task, DLK_ANSWER_NONE, g_strdup("there is no way to polkit"));
    } else if (dlk_polkit_open_questions(engine->polkit, caller->uid) >= most) {
        return_answer(
            task, DLK_ANSWER_NOT_ASKED,
            g_strdup_printf("uid %u has %u questions to polkit open, and may have no more "
                            "(questions-per-uid): answer or close the prompts; if there are none, polkit "
                            "does not answer: see systemctl status polkit",
                            caller->uid, most));
    } else {
        g_task_set_task_data(task, engine->polkit, NULL);
        dlk_polkit_check_async(engine->polkit, caller, action, sunk, interactive, on_answer,
                               g_steal_pointer(&task));
    }
}

/* ---- about what the caller may not know ---- */

typedef enum {
    STEP_UNPROMPTED,    /* do the rules alone decide? */
    STEP_MAY_SEE,       /* may the caller be shown what he asks about? */
    STEP_PROMPT_TO_SEE, /* after a prompt, perhaps */
    STEP_PROMPT,
} Step;

typedef struct {
    Step step;
    DlkCaller *caller;
    GVariant *details;
    gboolean interactive;
} Guarded;

static void
guarded_free(gpointer data)
{
    Guarded *guarded = data;

    dlk_caller_unref(guarded->caller);
    g_variant_unref(guarded->details);
    g_free(guarded);
}

static gboolean
is_to_see(GTask *task)
{
    return g_str_equal(g_task_get_name(task), "inspect");
}

/*
 * Only a person may overrule what polkit said when it was told of the lease: that it takes a prompt. A yes
 * without one is to a question that tells of nothing, of rules that would have said otherwise.
 */
static void
require_prompt(Answer *answer)
{
    if (answer->answer != DLK_ANSWER_YES)
        return;
    answer->answer = DLK_ANSWER_NO;
    answer->why = g_strdup(
        "polkit wants a password for seeing this lease, and asked for none for seeing any: be root, or "
        "have its rules for inspect ask where no path is given, too");
}

/* Takes the step after @answer. FALSE: there is none, this is the answer to it all. */
static gboolean
go_on(GTask *task, Answer *answer)
{
    Guarded *guarded = g_task_get_task_data(task);

    switch (guarded->step) {
    case STEP_UNPROMPTED:
        guarded->step = is_to_see(task) ? STEP_PROMPT_TO_SEE : STEP_MAY_SEE;
        return answer->answer == DLK_ANSWER_CHALLENGE && guarded->interactive;
    case STEP_MAY_SEE:
        guarded->step = dlk_answer_is_yes(answer->answer) ? STEP_PROMPT : STEP_PROMPT_TO_SEE;
        return dlk_answer_is_yes(answer->answer) || answer->answer == DLK_ANSWER_CHALLENGE;
    case STEP_PROMPT_TO_SEE:
        require_prompt(answer);
        guarded->step = STEP_PROMPT;
        return dlk_answer_is_yes(answer->answer) && !is_to_see(task);
    case STEP_PROMPT:
        break;
    }
    return FALSE;
}

static void on_step(GObject *source, GAsyncResult *result, gpointer user_data);

static void
ask_step(GTask *task)
{
    const Guarded *guarded = g_task_get_task_data(task);
    const gboolean to_see = guarded->step == STEP_MAY_SEE || guarded->step == STEP_PROMPT_TO_SEE;
    const gboolean prompts = guarded->step == STEP_PROMPT_TO_SEE || guarded->step == STEP_PROMPT;

    dlk_authority_ask_async(
        g_task_get_source_object(task), guarded->caller, to_see ? "inspect" : g_task_get_name(task),
        guarded->step == STEP_PROMPT_TO_SEE ? NULL : guarded->details, prompts, on_step, task);
}

static void
on_step(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GTask *task = user_data;
    Answer *answer = g_task_propagate_pointer(G_TASK(result), NULL);

    if (go_on(task, answer)) {
        answer_free(answer);
        ask_step(task);
        return;
    }
    g_task_return_pointer(task, answer, answer_free);
    g_object_unref(task);
}

void
dlk_authority_ask_guarded_async(DlkEngine *engine, DlkCaller *caller, const char *action, GVariant *details,
                                gboolean interactive, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(engine, NULL, callback, user_data);
    Guarded *guarded = g_new0(Guarded, 1);

    g_task_set_name(task, action);
    guarded->caller = dlk_caller_ref(caller);
    guarded->details = g_variant_ref_sink(details);
    guarded->interactive = interactive;
    g_task_set_task_data(task, guarded, guarded_free);
    ask_step(task);
}

/* ---- the answer ---- */

/* @asked: the action that the caller needs; the answer may be about his being shown what it is about. */
static void
set_refusal(const Answer *answer, const char *asked, GError **error)
{
    const char *action = answer->action;

    if (answer->answer == DLK_ANSWER_NOT_ASKED)
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED, answer->why);
    else if (answer->answer == DLK_ANSWER_CHALLENGE)
        g_set_error(error, DLK_ERROR, DLK_ERROR_INTERACTION_REQUIRED,
                    "polkit wants a password for %s%s, and the call does not allow to ask for one: allow "
                    "interactive authorization, or be root",
                    DLK_ACTION_PREFIX, action);
    else if (answer->why)
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED, "%s%s is not allowed: %s", DLK_ACTION_PREFIX,
                    action, answer->why);
    else
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED,
                    "polkit does not allow %s%s: root may do it, and whomever a rule of polkit allows it",
                    DLK_ACTION_PREFIX, action);
    if (!g_str_equal(asked, action))
        g_prefix_error(
            error, "to ask for a password for %s%s would show whose lease it is: ", DLK_ACTION_PREFIX, asked);
}

DlkAnswer
dlk_authority_answer_finish(GAsyncResult *result, GError **error)
{
    Answer *answer = g_task_propagate_pointer(G_TASK(result), NULL);
    const DlkAnswer value = answer->answer;

    if (!dlk_answer_is_yes(value))
        set_refusal(answer, g_task_get_name(G_TASK(result)), error);
    answer_free(answer);
    return value;
}

gboolean
dlk_authority_ask_finish(DlkEngine *engine, GAsyncResult *result, gboolean *prompted, GError **error)
{
    g_autoptr(GError) refusal = NULL;
    const DlkAnswer answer = dlk_authority_answer_finish(result, &refusal);

    if (answer == DLK_ANSWER_YES_AFTER_PROMPT && prompted)
        *prompted = TRUE;
    if (dlk_answer_is_yes(answer) || (answer == DLK_ANSWER_CHALLENGE && prompted && *prompted))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refusal));
    return FALSE;
}

gboolean
dlk_authority_prompts(const DlkDisk *disk, const char *shown, gboolean interactive, gboolean *prompted)
{
    *prompted = *prompted && g_strcmp0(shown, dlk_disk_label(disk)) == 0;
    return interactive && !*prompted;
}

/* ---- what polkit is told ---- */

GVariant *
dlk_authority_details(const char *key, ...)
{
    GVariantBuilder builder;
    va_list arguments;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    va_start(arguments, key);
    for (; key; key = va_arg(arguments, const char *)) {
        const char *value = va_arg(arguments, const char *);
        g_autofree char *printable =
            value && !g_utf8_validate(value, -1, NULL) ? dlk_text_printable(value, 0) : NULL;

        if (value)
            g_variant_builder_add(&builder, "{ss}", key, printable ? printable : value);
    }
    va_end(arguments);
    return g_variant_builder_end(&builder);
}

GVariant *
dlk_authority_disk_details(const DlkDisk *disk, const DlkRule *rule)
{
    return dlk_authority_details("path", dlk_disk_label(disk), "disk", disk->id, "backend", rule->backends[0],
                                 NULL);
}

GVariant *
dlk_authority_lease_details(const DlkLease *lease, DlkMode mode)
{
    return dlk_authority_details("path", dlk_disk_label(lease->disk), "disk", lease->disk->id, "mode",
                                 dlk_mode_to_string(mode), "backend", lease->backend, "owner", lease->owner,
                                 NULL);
}
