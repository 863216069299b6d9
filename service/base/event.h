#pragma once

#include <glib.h>

/**
 * DlkEvent: what an administrator may look for in the journal. Each has a MESSAGE_ID of its own there, and in
 * data/disklock.catalog the text that `journalctl -x` shows: what it means and what to do.
 */
typedef enum {
    /* What callers do. */
    DLK_EVENT_ACQUIRED,
    DLK_EVENT_ADOPTED,
    DLK_EVENT_REFUSED,
    DLK_EVENT_RELEASED,
    DLK_EVENT_CONVERTED,
    DLK_EVENT_SUSPENDED,
    DLK_EVENT_RESUMED,
    /* What an administrator does to the leases of others. */
    DLK_EVENT_FORCED_RELEASE,
    DLK_EVENT_REVOKED,
    /* What he does to the hold of another host. */
    DLK_EVENT_FENCED,
    DLK_EVENT_NOT_FENCED,
    /* What happens to a lease. */
    DLK_EVENT_AT_RISK,
    DLK_EVENT_RESTORED,
    DLK_EVENT_BROKEN,
    DLK_EVENT_GIVEN_UP,
    DLK_EVENT_ACTION_FAILED,
    DLK_EVENT_PROGRAM_SAID,
    DLK_EVENT_RELEASE_FAILED,
    /* A start of the service that finds leases of an earlier one. */
    DLK_EVENT_RECOVERED,
    DLK_EVENT_DROPPED,
    DLK_EVENT_NOT_RECOVERED,
    DLK_EVENT_RECORD_DAMAGED,
    DLK_EVENT_RECOVERY_DONE,
    /* The service itself. */
    DLK_EVENT_POLICY_READ,
    DLK_EVENT_POLICY_REFUSED,
    DLK_EVENT_BUS_LOST,
    DLK_EVENT_NO_PROGRESS,
    DLK_EVENT_ENTRIES_LOST,
    DLK_EVENT_NOT_RECORDED,
    DLK_N_EVENTS
} DlkEvent;

/** 32 lower-case hex digits, as in MESSAGE_ID= and in the catalog; never changes. */
const char *dlk_event_message_id(DlkEvent event);
/** INFO: all is well; MESSAGE: worth a look; WARNING: somebody has to do something, or soon may have to. */
GLogLevelFlags dlk_event_level(DlkEvent event);
