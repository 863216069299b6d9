#include "base/event.h"

/* Scripts and alarms match these ids: one that is no longer used is never given to another event. */
#define ID(last) "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e" last

static const struct {
    const char *message_id;
    GLogLevelFlags level;
} events[DLK_N_EVENTS] = {
    [DLK_EVENT_ACQUIRED] = {ID("01"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_RELEASED] = {ID("02"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_REFUSED] = {ID("03"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_FENCED] = {ID("1c"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_NOT_FENCED] = {ID("1d"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_AT_RISK] = {ID("04"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_RESTORED] = {ID("05"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_BROKEN] = {ID("06"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_POLICY_READ] = {ID("07"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_CONVERTED] = {ID("08"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_SUSPENDED] = {ID("09"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_RESUMED] = {ID("0a"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_FORCED_RELEASE] = {ID("0b"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_REVOKED] = {ID("0c"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_GIVEN_UP] = {ID("0d"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_ACTION_FAILED] = {ID("0e"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_PROGRAM_SAID] = {ID("0f"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_RELEASE_FAILED] = {ID("10"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_RECOVERED] = {ID("11"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_DROPPED] = {ID("12"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_NOT_RECOVERED] = {ID("13"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_RECORD_DAMAGED] = {ID("14"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_RECOVERY_DONE] = {ID("15"), G_LOG_LEVEL_MESSAGE},
    [DLK_EVENT_POLICY_REFUSED] = {ID("16"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_BUS_LOST] = {ID("17"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_ADOPTED] = {ID("19"), G_LOG_LEVEL_INFO},
    [DLK_EVENT_NO_PROGRESS] = {ID("18"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_ENTRIES_LOST] = {ID("1a"), G_LOG_LEVEL_WARNING},
    [DLK_EVENT_NOT_RECORDED] = {ID("1b"), G_LOG_LEVEL_WARNING},
};

const char *
dlk_event_message_id(DlkEvent event)
{
    return events[event].message_id;
}

GLogLevelFlags
dlk_event_level(DlkEvent event)
{
    return events[event].level;
}
