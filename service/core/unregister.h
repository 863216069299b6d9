#pragma once

#include "core/internal.h"

/**
 * dlk_unregister_leftovers: at the start, when all leases that were written down stand in the table: takes
 * back the registrations of this host, of SCSI or NVMe, that none of them explains. Starts jobs, returns how
 * many, and calls @done when each has come back, at the latest at @deadline.
 */
guint dlk_unregister_leftovers(DlkEngine *engine, gint64 deadline, GSourceOnceFunc done, gpointer user_data);
