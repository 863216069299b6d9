#include "report.h"

#include <dlfcn.h>
#include <stddef.h>
#include <syslog.h>

/* Of libvirt's virterror.h, whose numbers are part of its public interface. */
#define VIR_FROM_LOCKING 42
#define VIR_ERR_OPERATION_FAILED 9
#define VIR_ERR_RESOURCE_BUSY 87

typedef void (*Reporter)(int domain, int code, const char *file, const char *function, size_t line,
                         const char *format, ...);

void
dlk_report(bool busy, const char *message)
{
    /* Linked to it, the plugin would be tied to one release of libvirt: the symbol's version is that. */
    Reporter reporter = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "virReportErrorHelper");

    *(void **)&reporter = symbol;
    if (reporter)
        reporter(VIR_FROM_LOCKING, busy ? VIR_ERR_RESOURCE_BUSY : VIR_ERR_OPERATION_FAILED, __FILE__,
                 __func__, __LINE__, "%s", message);
    else
        syslog(LOG_ERR, "disklock: %s", message);
}
