#pragma once

#include "connection.h"

/**
 * DlkKnownLeases: owner, path and so on of the leases that one has heard of, so that one who watches learns
 * whose lease it was even when it is gone. What the user may not see is never in it.
 */
typedef struct _DlkKnownLeases DlkKnownLeases;

/** @connection: borrowed, must live longer. */
DlkKnownLeases *dlk_known_leases_new(DlkConnection *connection);
void dlk_known_leases_free(DlkKnownLeases *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkKnownLeases, dlk_known_leases_free)

/** Forgets everything and asks for the whole list, as after a start of the service. */
void dlk_known_leases_fill(DlkKnownLeases *self);
/** The properties of @object, a{sv}, borrowed until the next call; asks for them at the first time. %NULL:
 * not known. */
GVariant *dlk_known_leases_get(DlkKnownLeases *self, const char *object);
/** @object has gone. */
void dlk_known_leases_forget(DlkKnownLeases *self, const char *object);
