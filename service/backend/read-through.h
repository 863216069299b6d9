#pragma once

#include <glib.h>

/**
 * dlk_read_through: reads one block of the file behind @fd from the storage itself, past what this host has
 * cached. An NFS version 4 client whose lock the server took away gets EIO here, and only through the open
 * file description that had the lock. Returns 0 or an errno.
 */
int dlk_read_through(int fd);
