#pragma once

#include "bus/call.h"

/* What the rows of members.c point to; one file each. */

/* acquire-calls.c */
gboolean dlk_acquire_prepare(DlkCall *call, GError **error);
gboolean dlk_acquire_set_prepare(DlkCall *call, GError **error);
gboolean dlk_acquire_fd_prepare(DlkCall *call, GError **error);
gboolean dlk_hold_prepare(DlkCall *call, GError **error);
void dlk_acquire_run(DlkCall *call);
/** Takes all disks of the request; the answer is an array. */
void dlk_acquire_all_run(DlkCall *call);
void dlk_hold_run(DlkCall *call);
gboolean dlk_can_acquire_prepare(DlkCall *call, GError **error);
void dlk_can_acquire_run(DlkCall *call);

/** The request of @call, without its disks. @keep: it is a Hold. */
DlkRequest *dlk_request_of_call(DlkCall *call, GVariant *dictionary, gboolean keep, GError **error);

/** @call is to run @request (taken over), and polkit is told of its first disk. */
void dlk_call_set_request(DlkCall *call, DlkRequest *request);

/* domain-calls.c */
gboolean dlk_acquire_domain_prepare(DlkCall *call, GError **error);
void dlk_acquire_domain_run(DlkCall *call);

/* release-calls.c */
gboolean dlk_release_prepare(DlkCall *call, GError **error);
void dlk_release_run(DlkCall *call);
void dlk_release_owner_run(DlkCall *call);
gboolean dlk_break_prepare(DlkCall *call, GError **error);
void dlk_break_run(DlkCall *call);

/* manager-calls.c */
gboolean dlk_inspect_prepare(DlkCall *call, GError **error);
void dlk_inspect_run(DlkCall *call);
gboolean dlk_fence_prepare(DlkCall *call, GError **error);
void dlk_fence_run(DlkCall *call);
void dlk_reload_run(DlkCall *call);

/* listing.c */
gboolean dlk_list_leases_prepare(DlkCall *call, GError **error);
void dlk_list_leases_run(DlkCall *call);

/* lease-calls.c */
gboolean dlk_lease_prepare(DlkCall *call, GError **error);
gboolean dlk_convert_prepare(DlkCall *call, GError **error);
void dlk_check_run(DlkCall *call);
void dlk_claim_run(DlkCall *call);
void dlk_convert_run(DlkCall *call);
void dlk_suspend_run(DlkCall *call);
void dlk_resume_run(DlkCall *call);

/* properties.c */
void dlk_property_run(DlkCall *call);
void dlk_all_properties_run(DlkCall *call);
/** The properties of @lease: a{sv}, floating. */
GVariant *dlk_properties_of_lease(const DlkLease *lease);
/** One property of @lease, floating, or %NULL. */
GVariant *dlk_property_of_lease(const DlkLease *lease, const char *name);
/** The object path of @lease. Free with g_free(). */
char *dlk_lease_object_path(const DlkLease *lease);
