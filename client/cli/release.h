#pragma once

#include "connection.h"

/** dlk_release_owner: gives back every lease of @owner that the user may release, and prints how many.
 * Returns the exit code. */
int dlk_release_owner(DlkConnection *connection, const char *owner, const DlkSettings *settings);
