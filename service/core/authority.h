#pragma once

#include "core/internal.h"

/**
 * dlk_authority_ask: polkit's answer for @caller, as an error or none. Root is not asked about.
 * @details: as dlk_polkit_check_async(). Without a way to polkit the answer is no.
 */
void dlk_authority_ask_async(DlkEngine *engine, DlkCaller *caller, const char *action, GVariant *details,
                             gboolean interactive, GAsyncReadyCallback callback, gpointer user_data);

/**
 * dlk_authority_ask_guarded: as dlk_authority_ask_async(), where @details tell of somebody else's lease.
 * polkit's rules get them with the first question; the prompt goes to an agent that the caller may run
 * himself, and tells of them only when polkit has said yes to his seeing them, "inspect", too. Where that
 * takes a prompt, it is one that names no disk; a yes without a prompt is none then.
 */
void dlk_authority_ask_guarded_async(DlkEngine *engine, DlkCaller *caller, const char *action,
                                     GVariant *details, gboolean interactive, GAsyncReadyCallback callback,
                                     gpointer user_data);

/**
 * dlk_authority_ask_finish: the answer of both. TRUE: yes. Errors: DLK_ERROR_NOT_AUTHORIZED;
 * DLK_ERROR_INTERACTION_REQUIRED where a prompt would be needed and was not allowed; DLK_ERROR_LIMIT_EXCEEDED
 * where so many questions about this user are open that polkit was not asked. @prompted (inout, optional):
 * set where a person was asked and agreed; if it is set already, a further prompt is not needed: he said yes
 * to this very request.
 */
gboolean dlk_authority_ask_finish(DlkEngine *engine, GAsyncResult *result, gboolean *prompted,
                                  GError **error);
/** The same answer, for who goes on without a yes; @error is set as well where it is none. */
DlkAnswer dlk_authority_answer_finish(GAsyncResult *result, GError **error);

/**
 * dlk_authority_prompts: may there be a prompt about @disk? Who has just agreed to one (@prompted, inout)
 * that showed its very path is not asked again; if @shown was another name, @prompted is cleared: he has not
 * agreed to this. %NULL: it showed none.
 */
gboolean dlk_authority_prompts(const DlkDisk *disk, const char *shown, gboolean interactive,
                               gboolean *prompted);

/**
 * dlk_authority_details: the details of a question, of pairs of key and value, then %NULL: a{ss}, floating. A
 * value that is %NULL is left out; bytes of a path that are no UTF-8 are written \xNN.
 */
GVariant *dlk_authority_details(const char *key, ...) G_GNUC_NULL_TERMINATED;
/** What polkit is told of @disk, which falls under @rule, where the question is who has it. */
GVariant *dlk_authority_disk_details(const DlkDisk *disk, const DlkRule *rule);
/** What polkit is told of @lease, which is to be had in @mode: the path is where its descriptor led to, so
 * that a link does not speak for its target. */
GVariant *dlk_authority_lease_details(const DlkLease *lease, DlkMode mode);
