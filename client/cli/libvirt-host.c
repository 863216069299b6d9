#include "libvirt-host.h"

#include "base/error.h"
#include "base/pid-ref.h"
#include "config.h"
#include "libvirt-config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const driver_names[] = {"qemu", "libxl"};

/* The daemon of all drivers, and those of one (libvirt's modular daemons). */
static const struct {
    const char *name, *driver;
} daemons[] = {{"libvirtd", NULL}, {"virtqemud", "qemu"}, {"virtxend", "libxl"}};

static void
driver_free(DlkLibvirtDriver *self)
{
    g_free(self->config);
    g_free(self->text);
    g_free(self->lock_manager);
    g_free(self->hook);
    g_free(self->hook_target);
    g_free(self);
}

static char *
read_hook(const char *path)
{
    GStatBuf status;
    if (g_lstat(path, &status) < 0)
        return NULL;
    char *target = g_file_read_link(path, NULL);
    return target ?: g_strdup("");
}

/* %NULL without an error: this libvirt has no such driver. */
static DlkLibvirtDriver *
read_driver(const char *folder, const char *name, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *file = g_strconcat(name, ".conf", NULL);
    g_autofree char *config = g_build_filename(folder, file, NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(config, &text, NULL, &cause)) {
        if (!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "%s", cause->message);
        return NULL;
    }
    g_autofree char *hooks = g_strconcat(name, ".d", NULL);
    DlkLibvirtDriver *self = g_new0(DlkLibvirtDriver, 1);
    self->name = name;
    self->config = g_steal_pointer(&config);
    self->text = g_steal_pointer(&text);
    self->lock_manager = dlk_libvirt_config_get(self->text);
    self->hook = g_build_filename(folder, "hooks", hooks, "disklock", NULL);
    self->hook_target = read_hook(self->hook);
    return self;
}

GPtrArray *
dlk_libvirt_drivers_read(const char *folder, GError **error)
{
    g_autoptr(GPtrArray) drivers = g_ptr_array_new_with_free_func((GDestroyNotify)driver_free);
    for (gsize i = 0; i < G_N_ELEMENTS(driver_names); i++) {
        g_autoptr(GError) failure = NULL;
        DlkLibvirtDriver *driver = read_driver(folder, driver_names[i], &failure);
        if (failure) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
        if (driver)
            g_ptr_array_add(drivers, driver);
    }
    if (drivers->len > 0)
        return g_steal_pointer(&drivers);
    g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK,
                "%s has neither qemu.conf nor libxl.conf: libvirt is not installed, or configured elsewhere "
                "(--config-dir)",
                folder);
    return NULL;
}

const char *
dlk_libvirt_hook_program(void)
{
    return LIBVIRT_HOOK;
}

gboolean
dlk_libvirt_has_hook(const DlkLibvirtDriver *driver)
{
    return g_strcmp0(driver->hook_target, LIBVIRT_HOOK) == 0;
}

char *
dlk_libvirt_plugin(gboolean *is_there)
{
    /* As libvirt itself: src/locking/lock_manager.c. */
    const char *folder = g_getenv("LIBVIRT_LOCK_MANAGER_PLUGIN_DIR") ?: LIBVIRT_PLUGIN_DIR;
    char *path = g_build_filename(folder, "disklock.so", NULL);
    *is_there = access(path, R_OK) == 0;
    return path;
}

/* @ticks since the boot, which includes the time that the machine slept: proc(5), starttime. */
static gint64
realtime_of(guint64 ticks)
{
    struct timespec since_boot;
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    const gint64 boot = g_get_real_time() - since_boot.tv_sec * G_USEC_PER_SEC - since_boot.tv_nsec / 1000;
    return boot + (gint64)(ticks * G_USEC_PER_SEC / (guint64)sysconf(_SC_CLK_TCK));
}

static gboolean
read_daemon(DlkLibvirtDaemon *daemon)
{
    g_autofree char *path = g_strdup_printf("/run/%s.pid", daemon->name);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    const guint64 pid = g_ascii_strtoull(text, NULL, 10);
    g_autoptr(DlkPidRef) process = pid > 0 && pid <= G_MAXINT ? dlk_pid_ref_new((pid_t)pid, NULL) : NULL;
    g_autofree char *command = process ? dlk_pid_ref_command(process) : NULL;
    if (g_strcmp0(command, daemon->name) != 0)
        return FALSE;
    daemon->pid = (pid_t)pid;
    daemon->started_at = realtime_of(dlk_pid_ref_start(process));
    return TRUE;
}

GArray *
dlk_libvirt_daemons_find(const DlkLibvirtDriver *driver)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(DlkLibvirtDaemon));
    for (gsize i = 0; i < G_N_ELEMENTS(daemons); i++) {
        DlkLibvirtDaemon daemon = {.name = daemons[i].name};
        const gboolean runs_driver = !daemons[i].driver || g_str_equal(daemons[i].driver, driver->name);
        if (runs_driver && read_daemon(&daemon))
            g_array_append_val(found, daemon);
    }
    return found;
}

static gint64
change_time(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return 0;
    return status.st_ctim.tv_sec * G_USEC_PER_SEC + status.st_ctim.tv_nsec / 1000;
}

gboolean
dlk_libvirt_daemon_is_stale(const DlkLibvirtDaemon *daemon, const DlkLibvirtDriver *driver)
{
    g_autofree char *folder = g_path_get_dirname(driver->hook);
    const char *hook = driver->hook_target ? driver->hook : folder;
    return MAX(change_time(driver->config), change_time(hook)) >= daemon->started_at;
}
