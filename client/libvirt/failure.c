#include "failure.h"

#include "text.h"

#include <stdarg.h>
#include <string.h>

void
dlk_failure_clear(DlkFailure *failure)
{
    free(failure->text);
    free(failure->error);
    *failure = (DlkFailure){0};
}

bool
dlk_failure_is(const DlkFailure *failure, const char *error)
{
    return failure->error && strcmp(failure->error, error) == 0;
}

bool
dlk_fail(DlkFailure *failure, const char *format, ...)
{
    va_list arguments;

    if (failure->text)
        return false;
    va_start(arguments, format);
    failure->text = dlk_format_list(format, arguments);
    va_end(arguments);
    return false;
}
