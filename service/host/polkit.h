#pragma once

#include "host/caller.h"

#include <gio/gio.h>

/** DlkAnswer: polkit's word. Whatever is no clear yes is a no. */
typedef enum {
    DLK_ANSWER_NO,
    DLK_ANSWER_NONE,      /* polkit is not there, or does not answer, or makes no sense */
    DLK_ANSWER_CHALLENGE, /* yes, after a password, which the caller did not allow to be asked for */
    DLK_ANSWER_YES,
    DLK_ANSWER_YES_AFTER_PROMPT, /* a person has just been asked, and agreed */
    DLK_ANSWER_NOT_ASKED,        /* too much is being asked already; never polkit's own */
} DlkAnswer;

static inline gboolean
dlk_answer_is_yes(DlkAnswer answer)
{
    return answer == DLK_ANSWER_YES || answer == DLK_ANSWER_YES_AFTER_PROMPT;
}

#define DLK_ACTION_PREFIX "org.disklock.disklock1."

/* How long a person may take. Long enough to fetch whoever knows the password; a prompt without an end would
 * count among its user's questions until he leaves the bus, and lock him out. */
#define DLK_POLKIT_PROMPT_MS (5 * 60 * 1000)

/**
 * DlkPolkit: asks org.freedesktop.PolicyKit1 on the bus. uid 0 is answered yes without asking. No answer
 * within 3 s, an error, no polkit: %DLK_ANSWER_NONE. While a person is being prompted polkitd is pinged, so
 * that a dead one is noticed within the same time. A prompt is withdrawn after @prompt_ms. Main thread.
 */
typedef struct _DlkPolkit DlkPolkit;
DlkPolkit *dlk_polkit_new(GDBusConnection *connection, guint prompt_ms);
void dlk_polkit_free(DlkPolkit *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPolkit, dlk_polkit_free)

/** Is @caller one whom polkit is asked about? FALSE for uid 0: then there is nothing to wait for. */
gboolean dlk_polkit_needs_asking(const DlkCaller *caller);

/** How many questions about @uid are open: put to polkit, which has not replied yet. A question stays open
 * where its caller has his answer already, because he has left or polkit is slow, until the reply comes or
 * polkit leaves the bus. */
guint dlk_polkit_open_questions(const DlkPolkit *self, uid_t uid);

/**
 * @action: without the prefix ("acquire"). @details: a{ss}, floating or not, or %NULL; what polkit hands to
 * the rules and shows in its prompt, made one harmless line each. The messages name the disk by its "path";
 * "inspect" without one is about all disks, "release-any" without one about the locks of "owner".
 * @interactive: a person may be asked. Ends early with DLK_ANSWER_NO when @caller leaves the bus; the prompt
 * goes away then.
 */
void dlk_polkit_check_async(DlkPolkit *self, DlkCaller *caller, const char *action, GVariant *details,
                            gboolean interactive, GAsyncReadyCallback callback, gpointer user_data);
/** Never fails: what is not yes is no. @why (out, optional, transfer full): for a no that is not of polkit's
 * rules, and for no answer. */
DlkAnswer dlk_polkit_check_finish(DlkPolkit *self, GAsyncResult *result, char **why);
