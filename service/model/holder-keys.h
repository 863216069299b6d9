#pragma once

#include "model/holder.h"

/**
 * dlk_holders_name_keys: among @holders (of DlkHolder), those of whom only a reservation key is known get the
 * name of the host that has made it, where a record of that host is among them; one that is confirmed stands
 * for the key then, and has it. So a key and the record beside it are told as one.
 */
void dlk_holders_name_keys(GPtrArray *holders);
