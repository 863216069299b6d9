#pragma once

#include <glib.h>

/**
 * DlkLibvirtDriver: one of libvirt's hypervisor drivers on this host, as its files in the configuration
 * folder say it is set up. Everything is owned.
 */
typedef struct {
    const char *name;   /* "qemu", "libxl"; static */
    char *config;       /* its configuration file */
    char *text;         /* what that holds */
    char *lock_manager; /* that it sets, or %NULL */
    char *hook;         /* where our hook belongs */
    char *hook_target; /* where a link there leads; "" for something else than a link; %NULL: nothing is there
                        */
} DlkLibvirtDriver;

/**
 * dlk_libvirt_drivers_read: the drivers that have a configuration file in @folder, of DlkLibvirtDriver.
 * DLK_ERROR_INVALID_ARGS where there is none, or one cannot be read.
 */
GPtrArray *dlk_libvirt_drivers_read(const char *folder, GError **error);

/** The program that a hook of ours leads to. */
const char *dlk_libvirt_hook_program(void);
/** Is our hook where libvirt looks for it? */
gboolean dlk_libvirt_has_hook(const DlkLibvirtDriver *driver);
/** The path of the lock driver, and whether it is there. Free with g_free(). */
char *dlk_libvirt_plugin(gboolean *is_there);

/** DlkLibvirtDaemon: a daemon of libvirt that runs. */
typedef struct {
    const char *name; /* static */
    pid_t pid;
    gint64 started_at; /* microseconds, CLOCK_REALTIME */
} DlkLibvirtDaemon;

/** The daemons that run @driver; an array of DlkLibvirtDaemon, perhaps empty. */
GArray *dlk_libvirt_daemons_find(const DlkLibvirtDriver *driver);
/** Did @daemon read the configuration and look for hooks before they were changed last? */
gboolean dlk_libvirt_daemon_is_stale(const DlkLibvirtDaemon *daemon, const DlkLibvirtDriver *driver);
