#pragma once

#include "client/cli/exit-code.h"
#include "failure.h"

/**
 * Says on stderr, which libvirt shows to the user, why something could not be done, and what to do about it.
 * Returns what disklockctl would end with.
 */
DlkExitCode dlk_complain(const DlkFailure *failure);
