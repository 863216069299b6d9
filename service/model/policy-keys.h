#pragma once

#include "model/policy-text.h"

#include <glib.h>

/** DlkPolicyKey: one key that a section may have; a row of the table in policy-keys.c. */
typedef struct _DlkPolicyKey DlkPolicyKey;

/** "Rule", "Host" or "Limits": does such a section exist? */
gboolean dlk_policy_keys_has_section(const char *kind);
/** The key @name of sections of @kind; static, or %NULL. */
const DlkPolicyKey *dlk_policy_keys_find(const char *kind, const char *name);
/** All keys of sections of @kind, "a, b, c", for messages. Free with g_free(). */
char *dlk_policy_keys_list(const char *kind);

/**
 * dlk_policy_key_read: reads the value of @key from @section into @record: a DlkRule for the keys of [Rule],
 * a DlkPolicy for the others.
 * @backends: names of the backends that exist, %NULL-ended.
 * Returns %NULL, or the reason why the value is a mistake and what would be right; free with g_free().
 * @record is unchanged then.
 */
char *dlk_policy_key_read(const DlkPolicyKey *key, const DlkPolicySection *section,
                          const char *const *backends, gpointer record);
