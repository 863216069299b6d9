#pragma once

#include "model/lease.h"

/**
 * DlkHolder: who has a disk, as one host tells it to the others. Immutable once shared; reference-counted
 * (atomic). It is a hint and never the lock: nothing is granted or refused because of it.
 */
typedef struct {
    GRefString *host;       /* HostId; %NULL where only @key is known */
    GRefString *host_name;  /* as people know that host, or %NULL */
    GRefString *owner;      /* the VM's name, say, or %NULL */
    GRefString *owner_uuid; /* or %NULL */
    DlkLeaseId lease;       /* there; zero: not known */
    DlkMode mode;
    gint64 since; /* µs, CLOCK_REALTIME of that host; 0: not known */
    uid_t uid;    /* there; DLK_HOLDER_NO_UID: not known */
    pid_t pid;    /* there; 0: none, or not known */
    guint64 key;  /* the host's registration key of SCSI or NVMe; 0: none */
    /* The disk is really locked by that host now. Otherwise what is said here may be left of a host that is
     * dead, or made up. */
    gboolean confirmed;
} DlkHolder;

#define DLK_HOLDER_NO_UID ((uid_t)-1)

/** Nothing known but @mode. */
DlkHolder *dlk_holder_new(DlkMode mode);
/** Of @lease, on the host that is known as @host and @host_name. Main thread. */
DlkHolder *dlk_holder_new_of_lease(const DlkLease *lease, GRefString *host, GRefString *host_name);
DlkHolder *dlk_holder_ref(DlkHolder *self);
void dlk_holder_unref(DlkHolder *self);
/**
 * dlk_holder_describe: "held exclusively by web01 on host node7 (alpha) since 2026-11-23 14:10:05", as far as
 * that is known, printable; behind it " (unconfirmed)" where nothing but a record says so. Free with
 * g_free().
 */
char *dlk_holder_describe(const DlkHolder *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkHolder, dlk_holder_unref)
