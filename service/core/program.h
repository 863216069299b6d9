#pragma once

#include "core/internal.h"

/*
 * The program that a rule's exec= names, run for a lease that breaks. It gets the lease in its environment
 * and nothing else of ours but a pipe: what it prints goes to the journal, a line an entry. It has the rule's
 * grace to end; then it is killed together with what it started, as far as that is still in its session.
 */

/** The program is over; @problem: %NULL where it ended with status 0. */
typedef void (*DlkProgramDone)(DlkEngine *engine, DlkLease *lease, const GError *problem);

/** dlk_program_start: while it runs, the lease's holding has it. Fails where it cannot be run. */
gboolean dlk_program_start(DlkEngine *engine, DlkLease *lease, DlkProgramDone done, GError **error);
