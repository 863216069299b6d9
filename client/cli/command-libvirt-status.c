#include "command.h"
#include "connection.h"
#include "failure.h"
#include "libvirt-host.h"
#include "libvirt-options.h"
#include "table.h"

#define LABEL_WIDTH 12

/* What one line of the status says. */
typedef struct {
    const char *label, *key;
    char *value;
    gboolean is_right;
} Finding;

static void
finding_clear(Finding *self)
{
    g_free(self->value);
}

static void
add(GArray *findings, const char *label, const char *key, char *value, gboolean is_right)
{
    const Finding finding = {label, key, value, is_right};
    g_array_append_val(findings, finding);
}

static void
add_driver(GArray *findings, const DlkLibvirtDriver *driver)
{
    const gboolean is_ours = g_strcmp0(driver->lock_manager, "disklock") == 0;
    const gboolean has_hook = dlk_libvirt_has_hook(driver);
    add(findings, "Driver", "Driver", g_strdup(driver->name), TRUE);
    add(findings, "Lock manager", "LockManager",
        g_strdup_printf("%s (%s)", driver->lock_manager ?: "none", driver->config), is_ours);
    add(findings, "Hook", "Hook",
        g_strconcat(driver->hook,
                    has_hook              ? ""
                    : driver->hook_target ? " is not ours"
                                          : " is not there",
                    NULL),
        has_hook);
}

static void
add_daemons(GArray *findings, const DlkLibvirtDriver *driver)
{
    g_autoptr(GArray) daemons = dlk_libvirt_daemons_find(driver);
    for (guint i = 0; i < daemons->len; i++) {
        const DlkLibvirtDaemon *daemon = &g_array_index(daemons, DlkLibvirtDaemon, i);
        const gboolean is_stale = dlk_libvirt_daemon_is_stale(daemon, driver);
        g_autofree char *todo =
            is_stale ? g_strdup_printf(" began before the last change: systemctl restart %s", daemon->name)
                     : g_strdup(" knows of this");
        add(findings, "Daemon", "Daemon",
            g_strdup_printf("%s, process %d,%s", daemon->name, (int)daemon->pid, todo), !is_stale);
    }
    if (daemons->len == 0)
        add(findings, "Daemon", "Daemon", g_strdup("does not run"), TRUE);
}

static void
add_plugin(GArray *findings)
{
    gboolean is_there;
    g_autofree char *path = dlk_libvirt_plugin(&is_there);
    add(findings, "Plugin", "Plugin", g_strconcat(path, is_there ? "" : " is not there", NULL), is_there);
}

static void
add_service(GArray *findings, const DlkSettings *settings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(settings, &error);
    g_autoptr(GVariant) properties =
        connection ? dlk_connection_get_all(connection, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, TRUE, &error)
                   : NULL;
    add(findings, "disklockd", "Service", g_strdup(properties ? "answers" : error->message),
        properties != NULL);
}

static void
print_text(const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const Finding *finding = &g_array_index(findings, Finding, i);
        dlk_print_field(finding->label, LABEL_WIDTH, finding->value,
                        finding->is_right ? DLK_COLOUR_NONE : DLK_COLOUR_ALARM);
    }
}

static void
print_json(const GArray *findings, DlkJsonStyle style)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < findings->len; i++) {
        const Finding *finding = &g_array_index(findings, Finding, i);
        g_variant_builder_add_parsed(&list, "{'What': <%s>, 'Is': <%s>, 'Right': <%b>}", finding->key,
                                     finding->value, finding->is_right);
    }
    dlk_json_print(g_variant_builder_end(&list), style);
}

static gboolean
all_right(const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++)
        if (!g_array_index(findings, Finding, i).is_right)
            return FALSE;
    return TRUE;
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drivers = dlk_libvirt_drivers_read(dlk_libvirt_config_dir(), &error);
    if (!drivers)
        return dlk_failure_report(error);
    g_autoptr(GArray) findings = g_array_new(FALSE, FALSE, sizeof(Finding));
    g_array_set_clear_func(findings, (GDestroyNotify)finding_clear);
    for (guint i = 0; i < drivers->len; i++) {
        add_driver(findings, drivers->pdata[i]);
        add_daemons(findings, drivers->pdata[i]);
    }
    add_plugin(findings);
    add_service(findings, invocation->settings);
    if (invocation->settings->json != DLK_JSON_OFF)
        print_json(findings, invocation->settings->json);
    else
        print_text(findings);
    return all_right(findings) ? DLK_EXIT_SUCCESS : DLK_EXIT_FAILURE;
}

const DlkCommand dlk_command_libvirt_status = {
    .name = "libvirt status",
    .parameters = "",
    .summary = "Say whether libvirt locks its disks with disklock",
    .details = "Ends with 0 where all of it is in its place and in force, with 1 where something is missing.",
    .options = {dlk_libvirt_place_options},
    .run = run,
};
