#pragma once

#include "model/pr-state.h"

/** The a{sv} of Inspect's "reservation" (floating); @state: %NULL where the disk was not asked, or does not
 * tell: empty. */
GVariant *dlk_reservation_report(const DlkPrState *state);
