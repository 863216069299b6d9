#include "base/error.h"
#include "base/file.h"
#include "command.h"
#include "failure.h"
#include "libvirt-config.h"
#include "libvirt-host.h"
#include "libvirt-options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONFIG_DIR "/etc/libvirt"

static char *option_config_dir;
static gboolean option_dry_run;

const GOptionEntry dlk_libvirt_place_options[] = {
    {"config-dir", 0, 0, G_OPTION_ARG_FILENAME, &option_config_dir,
     "libvirt's configuration (default: " CONFIG_DIR ")", "DIR"},
    {NULL},
};

const char *
dlk_libvirt_config_dir(void)
{
    return option_config_dir ?: CONFIG_DIR;
}

static const GOptionEntry change_options[] = {
    {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &option_dry_run, "Show what would be changed, and change nothing",
     NULL},
    {NULL},
};

/* The lines of @text that @other has nowhere, each behind @sign. */
static void
print_lines(const char *text, const char *other, char sign)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_auto(GStrv) others = g_strsplit(other, "\n", -1);
    for (guint i = 0; lines[i]; i++)
        if (*lines[i] && !g_strv_contains((const char *const *)others, lines[i]))
            printf("%c %s\n", sign, lines[i]);
}

/* %FALSE: it failed. *@changed: there was something to do. */
static gboolean
change_config(const DlkLibvirtDriver *driver, gboolean enable, gboolean *changed, GError **error)
{
    g_autofree char *wanted =
        enable ? dlk_libvirt_config_enable(driver->text) : dlk_libvirt_config_disable(driver->text);
    if (g_str_equal(wanted, driver->text))
        return TRUE;
    *changed = TRUE;
    printf("%s\n", driver->config);
    print_lines(driver->text, wanted, '-');
    print_lines(wanted, driver->text, '+');
    if (option_dry_run)
        return TRUE;
    /* Whoever has made the file a link means the file that it leads to. */
    g_autofree char *real = realpath(driver->config, NULL);
    return dlk_file_replace(real ?: driver->config, wanted, error);
}

static gboolean
add_hook(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (g_mkdir_with_parents(folder, 0755) < 0 || symlink(dlk_libvirt_hook_program(), path) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot make the link %s", path);
    return TRUE;
}

static gboolean
change_hook(const DlkLibvirtDriver *driver, gboolean enable, gboolean *changed, GError **error)
{
    const gboolean is_ours = dlk_libvirt_has_hook(driver);
    if (driver->hook_target && !is_ours && enable) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "%s is there already and is not ours: look what it is, and move it away", driver->hook);
        return FALSE;
    }
    if (is_ours == enable || (!enable && driver->hook_target && !is_ours))
        return TRUE;
    *changed = TRUE;
    printf("%s\n%c link to %s\n", driver->hook, enable ? '+' : '-', dlk_libvirt_hook_program());
    if (option_dry_run)
        return TRUE;
    if (enable)
        return add_hook(driver->hook, error);
    if (unlink(driver->hook) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot remove %s", driver->hook);
    return TRUE;
}

/* libvirtd's QEMU driver does not start at all where its lock manager cannot be loaded. */
static gboolean
check_plugin(GError **error)
{
    gboolean is_there;
    g_autofree char *plugin = dlk_libvirt_plugin(&is_there);
    if (is_there)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "%s is not there, and without it libvirtd would start no VM: nothing was changed", plugin);
    return FALSE;
}

static void
print_restarts(const DlkLibvirtDriver *driver, gboolean changed)
{
    g_autoptr(GArray) daemons = dlk_libvirt_daemons_find(driver);
    for (guint i = 0; i < daemons->len; i++) {
        const DlkLibvirtDaemon *daemon = &g_array_index(daemons, DlkLibvirtDaemon, i);
        if (changed || dlk_libvirt_daemon_is_stale(daemon, driver))
            printf("%s (process %d) must be restarted to see this; running VMs go on: systemctl restart %s\n",
                   daemon->name, (int)daemon->pid, daemon->name);
    }
}

static int
change(gboolean enable)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drivers = dlk_libvirt_drivers_read(dlk_libvirt_config_dir(), &error);
    gboolean changed = FALSE;
    if (!drivers || (enable && !check_plugin(&error)))
        return dlk_failure_report(error);
    for (guint i = 0; i < drivers->len; i++)
        if (!change_hook(drivers->pdata[i], enable, &changed, &error) ||
            !change_config(drivers->pdata[i], enable, &changed, &error))
            return dlk_failure_report(error);
    if (!changed)
        puts("There is nothing to change.");
    else if (option_dry_run)
        puts("Nothing was changed (--dry-run).");
    for (guint i = 0; i < drivers->len && !option_dry_run; i++)
        print_restarts(drivers->pdata[i], changed);
    return DLK_EXIT_SUCCESS;
}

static int
run_enable(const DlkInvocation *invocation)
{
    return change(TRUE);
}

static int
run_disable(const DlkInvocation *invocation)
{
    return change(FALSE);
}

const DlkCommand dlk_command_libvirt_enable = {
    .name = "libvirt enable",
    .parameters = "",
    .summary = "Let libvirt lock its disks with disklock, from its next start on",
    .details = "Sets lock_manager = \"disklock\" in qemu.conf and libxl.conf, where they are, and puts the "
               "hook in its "
               "place. Shows\neach line that it changes; what was set before stays as a comment, for "
               "`libvirt disable`. "
               "Restarts nothing.",
    .options = {change_options, dlk_libvirt_place_options},
    .run = run_enable,
};

const DlkCommand dlk_command_libvirt_disable = {
    .name = "libvirt disable",
    .parameters = "",
    .summary = "Undo what libvirt enable has done",
    .options = {change_options, dlk_libvirt_place_options},
    .run = run_disable,
};
