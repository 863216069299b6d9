#include "complaint.h"

#include "bus.h"
#include "terminal.h"

#include <stdio.h>

static const struct {
    const char *error;
    DlkExitCode code;
    const char *hint;
} errors[] = {
    {DLK_ERROR_BUSY, DLK_EXIT_BUSY, "who has it: disklockctl inspect PATH"},
    {DLK_ERROR_PREFIX "TimedOut", DLK_EXIT_BUSY, "who has it: disklockctl inspect PATH"},
    {DLK_ERROR_PREFIX "NotAuthorized", DLK_EXIT_DENIED, NULL},
    {DLK_ERROR_PREFIX "NotOwner", DLK_EXIT_DENIED, NULL},
    {DLK_ERROR_PREFIX "PolicyDenied", DLK_EXIT_DENIED, "the rules stand in the policy: man disklock.conf"},
    {SD_BUS_ERROR_ACCESS_DENIED, DLK_EXIT_DENIED, NULL},
    {DLK_ERROR_NOT_A_DISK, DLK_EXIT_MISSING, NULL},
    {DLK_ERROR_PREFIX "NoSuchLease", DLK_EXIT_MISSING, NULL},
    {DLK_ERROR_PREFIX "Unreachable", DLK_EXIT_UNREACHABLE, NULL},
    {DLK_ERROR_PREFIX "LimitExceeded", DLK_EXIT_FAILURE,
     "the limits stand under [Limits] in the policy: man disklock.conf"},
    {DLK_ERROR_PREFIX "BackendFailed", DLK_EXIT_FAILURE, "details: journalctl -u disklockd"},
    {SD_BUS_ERROR_INVALID_ARGS, DLK_EXIT_USAGE, NULL},
};

static void
print(const char *text)
{
    char shown[DLK_SHOWN_SIZE];

    while (*text)
        if (*text == '\n') {
            fputs("\n  ", stderr);
            text++;
        } else {
            text += dlk_terminal_show(text, shown);
            fputs(shown, stderr);
        }
    fputc('\n', stderr);
}

DlkExitCode
dlk_complain(const DlkFailure *failure)
{
    print(failure->text ? failure->text : "something failed, and nobody says what");
    if (failure->silent)
        return DLK_EXIT_UNREACHABLE;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (!dlk_failure_is(failure, errors[i].error))
            continue;
        if (errors[i].hint)
            fprintf(stderr, "hint: %s\n", errors[i].hint);
        return errors[i].code;
    }
    return DLK_EXIT_FAILURE;
}
