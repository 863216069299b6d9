#pragma once

#include "model/mistake.h"
#include "model/policy.h"

/**
 * DlkPolicyParser: collects files, highest precedence first, and makes one policy of them, or a list of every
 * mistake in them. No I/O.
 *
 * The first word counts: rules are tried in the order in which they were read, and a [Rule NAME], [Host] id
 * or [Limits] key that an earlier file gave is not changed by a later one (a rule is overridden as a whole).
 */
typedef struct _DlkPolicyParser DlkPolicyParser;

/** @backends: names of the backends that exist; %NULL-ended, copied. */
DlkPolicyParser *dlk_policy_parser_new(const char *const *backends);
void dlk_policy_parser_free(DlkPolicyParser *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPolicyParser, dlk_policy_parser_free)

/** Reads the text of one file; what is wrong in it is remembered. @length: bytes; the text need not end with
 * NUL. */
void dlk_policy_parser_add(DlkPolicyParser *self, const char *file, const char *text, gsize length);
/** Adds a mistake that reading the file met ("Permission denied"). */
void dlk_policy_parser_add_mistake(DlkPolicyParser *self, const char *file, guint line, const char *reason);
/** The mistakes so far (at most 1,000 a file, and a note that there are more), of DlkMistake, borrowed;
 * empty: the policy is good. */
GPtrArray *dlk_policy_parser_mistakes(DlkPolicyParser *self);
/** The policy, or %NULL with DLK_ERROR_BAD_POLICY, whose message holds the mistakes, one a line. To be called
 * once. */
DlkPolicy *dlk_policy_parser_finish(DlkPolicyParser *self, GError **error);
