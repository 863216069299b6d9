#pragma once

#include <glib.h>

/**
 * DlkTokens: fencing tokens: they grow with every grant on this host, over restarts and reboots too. A token
 * is the clock's microseconds or one more than the last, whichever is greater; a high-water mark in the
 * runtime folder keeps them growing where the clock was set back.
 */
typedef struct _DlkTokens DlkTokens;
DlkTokens *dlk_tokens_new(const char *runtime_dir, GError **error);
void dlk_tokens_free(DlkTokens *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkTokens, dlk_tokens_free)
/** From now on tokens are greater than @token, which a lease of an earlier run has. */
void dlk_tokens_pass(DlkTokens *self, guint64 token);
/** The next token; 0 with @error where the mark cannot be written: then nothing may be granted. */
guint64 dlk_tokens_next(DlkTokens *self, GError **error);
