#include "bus/members.h"

#include <gio/gio.h>

/* The rows that say who may use what, against the description of the interfaces. */

static GDBusNodeInfo *
read_interface(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/dbus/%s.xml", SOURCE_DIR, name);
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &xml, NULL, &error);
    g_assert_no_error(error);
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, &error);
    g_assert_no_error(error);
    return node;
}

static const char *const interfaces[] = {DLK_MANAGER_INTERFACE, DLK_LEASE_INTERFACE};

static void
assert_row(const char *interface, const char *name)
{
    const DlkMember *member = dlk_members_find(interface, name);

    if (!member || !member->run ||
        (member->access != DLK_ACCESS_ANYONE && !member->prepare && !member->action))
        g_error("%s.%s has no row that says who may use it", interface, name);
}

static void
test_every_method_and_property_has_a_row(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        g_autoptr(GDBusNodeInfo) node = read_interface(interfaces[i]);
        GDBusInterfaceInfo *info = g_dbus_node_info_lookup_interface(node, interfaces[i]);

        g_assert_nonnull(info);
        for (guint k = 0; info->methods && info->methods[k]; k++)
            assert_row(interfaces[i], info->methods[k]->name);
        for (guint k = 0; info->properties && info->properties[k]; k++)
            assert_row(interfaces[i], info->properties[k]->name);
        assert_row(interfaces[i], "GetAll");
    }
}

static void
test_every_row_is_a_member_of_the_interface(void)
{
    const DlkMember *member;

    for (guint i = 0; (member = dlk_members_at(i)); i++) {
        g_autofree char *interface = g_strconcat(DLK_BUS_NAME ".", member->interface, NULL);
        g_autoptr(GDBusNodeInfo) node = read_interface(interface);
        GDBusInterfaceInfo *info = g_dbus_node_info_lookup_interface(node, interface);

        g_test_message("%s.%s", interface, member->name);
        g_assert_nonnull(info);
        g_assert_true(g_dbus_interface_info_lookup_method(info, member->name) ||
                      g_dbus_interface_info_lookup_property(info, member->name) ||
                      g_str_equal(member->name, "GetAll"));
        /* The first row that is found counts: a second one would never be used. */
        g_assert_true(dlk_members_find(interface, member->name) == member);
    }
}

static void
test_every_action_is_one_of_polkits(void)
{
    static const char *const actions[] = {"acquire",     "acquire-fd", "acquire-for-others",
                                          "release-any", "inspect",    "break",
                                          "fence",       "reload",     NULL};
    const DlkMember *member;

    for (guint i = 0; (member = dlk_members_at(i)); i++) {
        g_test_message("%s", member->name);
        g_assert_true(!member->action || g_strv_contains(actions, member->action));
        g_assert_true(member->access != DLK_ACCESS_POLKIT || member->action);
    }
}

static void
test_only_harmless_members_are_for_anyone(void)
{
    static const char *const harmless[] = {"ReleaseOwner",     "CanAcquire", "Version",
                                           "HostId",           "Backends",   "LeaseCount",
                                           "PolicyGeneration", "GetAll",     NULL};
    const DlkMember *member;

    for (guint i = 0; (member = dlk_members_at(i)); i++) {
        if (member->access == DLK_ACCESS_ANYONE) {
            g_test_message("%s.%s", member->interface, member->name);
            g_assert_cmpstr(member->interface, ==, "Manager");
            g_assert_true(g_strv_contains(harmless, member->name));
        }
    }
}

static void
test_what_has_no_row_is_found_nowhere(void)
{
    g_assert_null(dlk_members_find(DLK_MANAGER_INTERFACE, "Shutdown"));
    g_assert_null(dlk_members_find(DLK_MANAGER_INTERFACE, "acquire"));
    g_assert_null(dlk_members_find(DLK_LEASE_INTERFACE, "Acquire"));
    g_assert_null(dlk_members_find("Manager", "Acquire"));
    g_assert_null(dlk_members_find("org.example.DiskLock1.Manager", "Acquire"));
    g_assert_null(dlk_members_find(DLK_BUS_NAME, "Acquire"));
    g_assert_null(dlk_members_find("", ""));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/members/every-member-has-a-row", test_every_method_and_property_has_a_row);
    g_test_add_func("/members/every-row-is-a-member", test_every_row_is_a_member_of_the_interface);
    g_test_add_func("/members/every-action-is-one-of-polkits", test_every_action_is_one_of_polkits);
    g_test_add_func("/members/only-harmless-for-anyone", test_only_harmless_members_are_for_anyone);
    g_test_add_func("/members/what-has-no-row", test_what_has_no_row_is_found_nowhere);
    return g_test_run();
}
