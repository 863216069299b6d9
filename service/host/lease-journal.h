#pragma once

#include "model/lease-record.h"

#include <glib.h>

/**
 * DlkLeaseJournal: RUNTIME_DIR/leases, what the next run of the service has to know of the leases: a line
 * with the boot's id, then one record a line (model/lease-record.h). A lease is written down before its
 * caller is answered; its end is one byte that is overwritten, which needs no space. Whatever happens to the
 * process, the file holds what write(2) took; nothing is synced: the file is of use in this boot alone. Main
 * thread.
 */
typedef struct _DlkLeaseJournal DlkLeaseJournal;

/**
 * dlk_lease_journal_open: reads what an earlier run left. Lines that are damaged are passed over and told in
 * the system's journal, a file of an earlier boot is told and dropped. DLK_ERROR_BACKEND_FAILED where there
 * is a file that cannot be read: to begin without it would be to forget its leases.
 */
DlkLeaseJournal *dlk_lease_journal_open(const char *runtime_dir, GError **error);
void dlk_lease_journal_free(DlkLeaseJournal *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkLeaseJournal, dlk_lease_journal_free)

/** What stood in the file when it was opened, the last word of each lease: of DlkLeaseRecord; transfer full.
 */
GPtrArray *dlk_lease_journal_take_records(DlkLeaseJournal *self);

/**
 * dlk_lease_journal_append: writes the @n records, which stand or fall together. @places (out, @n): where
 * they stand, for dlk_lease_journal_strike(). FALSE: DLK_ERROR_BACKEND_FAILED, and nothing is written.
 */
gboolean dlk_lease_journal_append(DlkLeaseJournal *self, DlkLeaseRecord *records, guint n, gint64 *places,
                                  GError **error);
/** Can it be written, because dlk_lease_journal_rewrite() was done once, or dlk_lease_journal_go_on()? */
gboolean dlk_lease_journal_is_open(const DlkLeaseJournal *self);
/**
 * dlk_lease_journal_go_on: where the first rewrite failed: the file that was found is written on, in which
 * @live records stand at the places that they say.
 */
gboolean dlk_lease_journal_go_on(DlkLeaseJournal *self, guint live, GError **error);
/** The record at @place has ended. FALSE: that could not be written; a new file would say so too. */
gboolean dlk_lease_journal_strike(DlkLeaseJournal *self, gint64 place);

/** Are there so many ended records that the file should be written anew? */
gboolean dlk_lease_journal_is_stale(const DlkLeaseJournal *self);
/** Fills @record with the next lease's, and returns where its place is kept; %NULL: there is none any more.
 */
typedef gint64 *(*DlkLeaseJournalNext)(DlkLeaseRecord *record, gpointer user_data);
/**
 * dlk_lease_journal_rewrite: puts a new file with the records that @next gives in the place of the old one,
 * in one step, and sets their places. FALSE: DLK_ERROR_BACKEND_FAILED, and the old file goes on.
 */
gboolean dlk_lease_journal_rewrite(DlkLeaseJournal *self, DlkLeaseJournalNext next, gpointer user_data,
                                   GError **error);
