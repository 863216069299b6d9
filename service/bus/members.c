#include "bus/members.h"

#include "bus/handlers.h"

#include <string.h>

/* Every method and every property of the service, who may use it, and what it does. What is not here is
 * refused. */
static const DlkMember members[] = {
    {"Manager", "Acquire", DLK_ACCESS_POLKIT, "acquire", dlk_acquire_prepare, dlk_acquire_run},
    {"Manager", "AcquireSet", DLK_ACCESS_POLKIT, "acquire", dlk_acquire_set_prepare, dlk_acquire_all_run},
    {"Manager", "AcquireDomain", DLK_ACCESS_POLKIT, "acquire", dlk_acquire_domain_prepare,
     dlk_acquire_domain_run},
    {"Manager", "AcquireFd", DLK_ACCESS_POLKIT, "acquire-fd", dlk_acquire_fd_prepare, dlk_acquire_run},
    {"Manager", "Hold", DLK_ACCESS_POLKIT, "acquire", dlk_hold_prepare, dlk_hold_run},
    {"Manager", "Release", DLK_ACCESS_OWNER, "release-any", dlk_release_prepare, dlk_release_run},
    {"Manager", "ReleaseOwner", DLK_ACCESS_ANYONE, "release-any", NULL, dlk_release_owner_run},
    {"Manager", "Inspect", DLK_ACCESS_POLKIT, "inspect", dlk_inspect_prepare, dlk_inspect_run},
    {"Manager", "ListLeases", DLK_ACCESS_READER, "inspect", dlk_list_leases_prepare, dlk_list_leases_run},
    {"Manager", "Break", DLK_ACCESS_POLKIT, "break", dlk_break_prepare, dlk_break_run},
    {"Manager", "Fence", DLK_ACCESS_POLKIT, "fence", dlk_fence_prepare, dlk_fence_run},
    {"Manager", "CanAcquire", DLK_ACCESS_ANYONE, "acquire", dlk_can_acquire_prepare, dlk_can_acquire_run},
    {"Manager", "Reload", DLK_ACCESS_POLKIT, "reload", NULL, dlk_reload_run},

    {"Manager", "Version", DLK_ACCESS_ANYONE, NULL, NULL, dlk_property_run},
    {"Manager", "HostId", DLK_ACCESS_ANYONE, NULL, NULL, dlk_property_run},
    {"Manager", "Backends", DLK_ACCESS_ANYONE, NULL, NULL, dlk_property_run},
    {"Manager", "LeaseCount", DLK_ACCESS_ANYONE, NULL, NULL, dlk_property_run},
    {"Manager", "PolicyGeneration", DLK_ACCESS_ANYONE, NULL, NULL, dlk_property_run},
    {"Manager", "GetAll", DLK_ACCESS_ANYONE, NULL, NULL, dlk_all_properties_run},

    {"Lease", "Release", DLK_ACCESS_OWNER, "release-any", dlk_lease_prepare, dlk_release_run},
    {"Lease", "Check", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_check_run},
    {"Lease", "Claim", DLK_ACCESS_OWNER, NULL, dlk_lease_prepare, dlk_claim_run},
    {"Lease", "Convert", DLK_ACCESS_OWNER, NULL, dlk_convert_prepare, dlk_convert_run},
    {"Lease", "Suspend", DLK_ACCESS_OWNER, NULL, dlk_lease_prepare, dlk_suspend_run},
    {"Lease", "Resume", DLK_ACCESS_OWNER, NULL, dlk_lease_prepare, dlk_resume_run},

    {"Lease", "Id", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Path", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Disk", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Mode", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Backend", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "State", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Owner", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "OwnerUuid", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Why", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Uid", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Pid", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Lifetime", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "OnBreak", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "Token", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "AcquiredAt", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "CheckedAt", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "BrokenReason", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "IsDataFile", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_property_run},
    {"Lease", "GetAll", DLK_ACCESS_READER, "inspect", dlk_lease_prepare, dlk_all_properties_run},
};

const DlkMember *
dlk_members_find(const char *interface, const char *name)
{
    if (!g_str_has_prefix(interface, DLK_BUS_NAME "."))
        return NULL;
    interface += strlen(DLK_BUS_NAME ".");
    for (guint i = 0; i < G_N_ELEMENTS(members); i++)
        if (g_str_equal(name, members[i].name) && g_strcmp0(interface, members[i].interface) == 0)
            return &members[i];
    return NULL;
}

const DlkMember *
dlk_members_at(guint index)
{
    return index < G_N_ELEMENTS(members) ? &members[index] : NULL;
}
