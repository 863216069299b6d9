#pragma once

#include "model/lease.h"

#include <glib.h>

/**
 * DlkLeaseRecord: what the service has to know of a lease to take it up again after a restart, and the one
 * line of text that holds it:
 *
 *     + 9ae16a3b2f90404f id=… token=… disk=… mode=exclusive … \n
 *
 * "+" is a lease that stands, "-" one that has ended; the checksum is of the boot's id and of all behind it,
 * so that a line of an earlier boot is worth nothing. Values are ASCII: every other byte, space, backslash
 * and
 * "=" are written \xNN. Keys that are not known are passed over, so that an older version reads a newer
 * one's.
 */
typedef struct {
    DlkLeaseId id;
    guint64 token;
    DlkDisk *disk;
    const char *path; /* as the caller named it */
    const char *backend;
    const char *rule; /* by name */
    DlkMode mode;
    DlkMode other_mode; /* while the lock is being converted it may have either; else as mode */
    DlkLeaseState state;
    DlkLifetime lifetime;
    DlkOnBreak on_break;
    gboolean strict; /* the lock was taken under readers=strict */
    gboolean by_descriptor;
    gboolean is_data_file;
    gboolean more; /* the next line belongs to the same request: without it this one was not answered for */
    gboolean given_up; /* broken, and nothing is held any more */
    gboolean released; /* broken, and to end when its on-break action is over */
    gboolean stopping; /* broken, and its process is being stopped */
    gboolean revoked;  /* broken_reason is what an administrator wrote */
    uid_t uid;
    pid_t pid;
    guint64 process_start; /* DlkPidRef's; 0: its process is not known, or has ended */
    gint64 acquired_at;
    gint64 risk_since; /* monotonic µs; 0: not at risk */
    const char *owner;
    const char *owner_uuid; /* or %NULL, as all that follow */
    const char *why;
    const char *broken_reason;
    const char *fds;    /* names in the descriptor store of what keeps the lock, "," between; "" for none */
    const char *spares; /* likewise, of what takes their place while the lock is being converted */
    const char *keep;   /* likewise, of a keep descriptor's other end */
    const char *bus;    /* id of the bus, and the name there, of a `connection` lease's owner */
    const char *bus_name;
    gint64 place;  /* where it stands in its file; not part of the line */
    char *storage; /* what the strings above are part of, where the record was parsed */
} DlkLeaseRecord;

/** No line is longer, the line feed included. */
#define DLK_LEASE_RECORD_MAX (1024 * 1024)
/** The first characters of a line. */
#define DLK_LEASE_RECORD_STANDS '+'
#define DLK_LEASE_RECORD_ENDED '-'

/**
 * dlk_lease_record_format: appends the line of @self, which stands, to @text, with its line feed. FALSE: it
 * would be too long, and nothing was appended.
 */
gboolean dlk_lease_record_format(const DlkLeaseRecord *self, const char *boot, GString *text);
/**
 * dlk_lease_record_parse: reads @line, of @length bytes without a line feed; whatever stands in it. @ended:
 * it says that the lease has ended. %NULL: @why (static) says what is wrong.
 */
DlkLeaseRecord *dlk_lease_record_parse(const char *line, gsize length, const char *boot, gboolean *ended,
                                       const char **why);
void dlk_lease_record_free(DlkLeaseRecord *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkLeaseRecord, dlk_lease_record_free)
