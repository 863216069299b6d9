#pragma once

#include "backend/backend.h"
#include "model/pr-state.h"

/*
 * The commands of persistent reservations, by one path to a disk: an sd device, or a namespace of NVMe, of
 * which the kernel knows the paths. Changes go by linux/pr.h; what that cannot ask goes by SG_IO and NVMe's
 * own commands, as on every kernel that has those.
 *
 * May block as long as the kernel tries: worker threads. What stands in the way is said by the error's code:
 * DLK_ERROR_BUSY: reservation conflict: this path is not registered with that key, or somebody else has it;
 * DLK_ERROR_UNSUPPORTED: device or kernel cannot do it;
 * DLK_ERROR_UNREACHABLE: no answer by this path, another may have one;
 * DLK_ERROR_BACKEND_FAILED: anything else.
 */

/** DlkPrPath: one path, opened for reading alone: udev probes anew what was open for writing. */
typedef struct {
    char *name; /* the kernel's: "sda" */
    int fd;
    gboolean nvme;
    gboolean linux_target; /* the target is Linux's own */
    guint64 sequence; /* of this device among all that this kernel has seen: a number is given out again */
} DlkPrPath;

/** Of the device behind the folder @folder in sysfs; DLK_ERROR_UNREACHABLE where it cannot be opened. */
DlkPrPath *dlk_pr_path_open(const char *folder, GError **error);
void dlk_pr_path_free(DlkPrPath *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPrPath, dlk_pr_path_free)

/** Registers this path with @new instead of @old; 0: none. Where the target can, it survives a loss of power.
 */
gboolean dlk_pr_path_register(const DlkPrPath *self, guint64 old, guint64 new, GError **error);
gboolean dlk_pr_path_reserve(const DlkPrPath *self, guint64 key, DlkPrType type, GError **error);
/** Does nothing where another path has reserved. */
gboolean dlk_pr_path_release(const DlkPrPath *self, guint64 key, DlkPrType type, GError **error);
/**
 * Takes away every registration with the key @victim, and with it the reservation, if it is the holder's:
 * that is this path's from then on, of @type. In one step.
 * @victim 0, where all registrants hold the reservation: everybody's but this path's.
 */
gboolean dlk_pr_path_preempt(const DlkPrPath *self, guint64 key, guint64 victim, DlkPrType type,
                             GError **error);
/** Likewise, and ends the commands that the target still has of those who lose their registration, where it
 * can: otherwise a write that it took before may reach the disk afterwards. */
gboolean dlk_pr_path_preempt_and_abort(const DlkPrPath *self, guint64 key, guint64 victim, DlkPrType type,
                                       GError **error);

/**
 * dlk_pr_path_clear_events: takes note of what the controller of a namespace of NVMe says has happened to
 * reservations; until then it tells of nothing else that happens to them. To be done before one looks, so
 * that what happens afterwards is told. For SCSI nothing.
 */
void dlk_pr_path_clear_events(const DlkPrPath *self);

/** %NULL and @error where it cannot be asked. */
DlkPrState *dlk_pr_path_read(const DlkPrPath *self, GError **error);
/** @types (out): bits 1 << DlkPrType that the device knows. */
gboolean dlk_pr_path_read_types(const DlkPrPath *self, guint *types, GError **error);
/** Of DlkPrRegistrant; not every target tells, and NVMe never. */
GPtrArray *dlk_pr_path_read_registrants(const DlkPrPath *self, GError **error);
