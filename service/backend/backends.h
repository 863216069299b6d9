#pragma once

#include "backend/backend.h"

/** The names of all backends of this build, %NULL-ended, static; what the Backends property says. */
const char *const *dlk_backends_names(void);
/** The one backend of @name, or the two of "scsi+lockspace" together; borrowed, alive as long as the process;
 * %NULL: no such backend. Main thread. */
DlkBackend *dlk_backends_get(const char *name);
/** Adds a backend to the table; for the fake one of the tests. Takes the reference. */
void dlk_backends_add(DlkBackend *backend);
