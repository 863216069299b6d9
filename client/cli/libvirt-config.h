#pragma once

#include <glib.h>

/*
 * The one key of libvirt's qemu.conf and libxl.conf that says who locks disks. The rest of the text stays as
 * it is, byte for byte.
 */

/** The name that the last lock_manager of @text sets, without its quotes; %NULL: none is set. Free with
 * g_free(). */
char *dlk_libvirt_config_get(const char *text);

/**
 * @text with lock_manager = "disklock". What was set stays as a comment that dlk_libvirt_config_disable()
 * knows again. Free with g_free().
 */
char *dlk_libvirt_config_enable(const char *text);

/** @text without our line, and with what it replaced. Free with g_free(). */
char *dlk_libvirt_config_disable(const char *text);
