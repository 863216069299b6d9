#pragma once

#include "model/pr-type.h"

/*
 * What a target answers to PERSISTENT RESERVE IN (SPC-4, 6.15). The bytes come from outside: nothing is read
 * that is not there, whatever the lengths in them say.
 *
 * All return FALSE with DLK_ERROR_BACKEND_FAILED where an answer makes no sense. An answer may be cut short
 * by the room that it was given: then @needed (out) is more than @length, and the rest of what is returned is
 * incomplete.
 */

/** The service actions of the command. */
enum {
    DLK_PR_IN_READ_KEYS,
    DLK_PR_IN_READ_RESERVATION,
    DLK_PR_IN_REPORT_CAPABILITIES,
    DLK_PR_IN_READ_FULL_STATUS
};

/** @keys (out, transfer full): of guint64, one for each registered nexus. */
gboolean dlk_pr_in_read_keys(const guint8 *data, gsize length, guint32 *generation, GArray **keys,
                             gsize *needed, GError **error);

/** @type (out): DLK_PR_NONE where there is no reservation. @holder (out): 0 where all registrants hold it.
 * One that is cut short makes no sense. */
gboolean dlk_pr_in_read_reservation(const guint8 *data, gsize length, guint32 *generation, DlkPrType *type,
                                    guint64 *holder, GError **error);

/** @types (out): bits 1 << DlkPrType that the target knows; all, where it does not say. */
gboolean dlk_pr_in_report_capabilities(const guint8 *data, gsize length, guint *types, GError **error);

/** DlkPrRegistrant: one nexus that is registered. */
typedef struct {
    guint64 key;
    gboolean holder;
    char *initiator; /* the port of the host: "naa.5000c50000000a01", "iqn.2004-01.example:host", printable;
                        "" where the target does not say */
} DlkPrRegistrant;
void dlk_pr_registrant_free(DlkPrRegistrant *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPrRegistrant, dlk_pr_registrant_free)

/**
 * dlk_pr_registrants_are_same: is @key registered, and each time by a port that has registered @own as well?
 * A registrant whose port is not told is not the same as any other. @registrants: all that there are.
 */
gboolean dlk_pr_registrants_are_same(GPtrArray *registrants, guint64 key, guint64 own);

/** @registrants (out, transfer full): of DlkPrRegistrant. */
gboolean dlk_pr_in_read_full_status(const guint8 *data, gsize length, guint32 *generation,
                                    GPtrArray **registrants, gsize *needed, GError **error);
