#pragma once

#include "core/internal.h"

/*
 * `connection` leases, and the connections that they end with. While the service is off the bus, and after a
 * restart, nobody knows which of those still are: such a lease is unclaimed.
 */

/** @lease ends with the connection @bus_name of the bus that the service is on. */
void dlk_connection_watch(DlkEngine *engine, DlkLease *lease, const char *bus_name);
/** After a restart: @lease ends with a connection that was @bus_name on @bus; each may be %NULL: not known.
 */
void dlk_connection_recover(DlkEngine *engine, DlkLease *lease, const char *bus, const char *bus_name);
/** @lease ends with no connection any longer. */
void dlk_connection_unwatch(DlkEngine *engine, DlkLease *lease);
/** Sets up what the engine keeps of connections. */
void dlk_connection_init_engine(DlkEngine *engine);
