#include "backend/foreign.h"

#include <string.h>

/* How the kernel may use a disk, in words: with what is known of where, and without. */
static const struct {
    const char *what, *with_place, *without_place, *advice;
} uses[] = {
    {"mount", "a filesystem on it is mounted at %s",
     "a filesystem on it is mounted in another mount namespace", "unmount it first"},
    {"swap", "it is active swap (%s)", "it is active swap", "take it out of use with swapoff first"},
    {"lvm", "the LVM volume %s on it is active", "LVM volumes on it are active",
     "deactivate its volume group first, or acquire the volume itself"},
    {"multipath", "it is a path of the multipath device %s", "it is a path of a multipath device",
     "acquire the multipath device instead"},
    {"dm", "the mapped device %s is made of it", "a mapped device is made of it",
     "remove that first, or acquire it instead"},
    {"md", "it is a member of the RAID array %s", "it is a member of a RAID array",
     "stop the array first, or acquire it instead"},
    {"holder", "the device %s is made of it", "another device is made of it",
     "remove that first, or acquire it instead"},
    {"loop", "the loop device %s is set up on it", "a loop device is set up on it",
     "detach it with losetup -d first, or acquire the loop device instead"},
    {"claim", "the kernel or a program has claimed %s for itself",
     "the kernel or a program has claimed it for itself (a filesystem that is mounted elsewhere, or mkfs, "
     "say)",
     "find out who uses it and end that first"},
};

/* Its place in the table, or -1: a process. */
static int
find_use(const DlkForeign *foreign)
{
    for (guint i = 0; i < G_N_ELEMENTS(uses); i++)
        if (strcmp(uses[i].what, foreign->what) == 0)
            return (int)i;
    return -1;
}

gboolean
dlk_foreign_is_process(const DlkForeign *foreign)
{
    return find_use(foreign) < 0;
}

static const char *
describe_use(const DlkForeign *foreign)
{
    const gboolean opened = strcmp(foreign->what, "qemu") == 0;
    if (foreign->writes && foreign->alone)
        return opened ? "has it open for writing" : "has locked it exclusively";
    if (foreign->writes)
        return opened ? "has it open for writing, shared with others" : "has locked it, shared with others";
    if (foreign->alone)
        return opened ? "has it open and tolerates no writer" : "has locked it against writers";
    return opened ? "has it open for reading" : "has locked it";
}

char *
dlk_foreign_describe(const DlkForeign *foreign)
{
    const int use = find_use(foreign);
    if (use >= 0 && foreign->where == NULL)
        return g_strdup(uses[use].without_place);
    if (use >= 0) {
        g_auto(GStrv) around = g_strsplit(uses[use].with_place, "%s", 2);
        return g_strconcat(around[0], foreign->where, around[1], NULL);
    }
    if (foreign->pid == 0) {
        return g_strdup_printf("another host, or a process that cannot be seen from here, %s",
                               describe_use(foreign));
    }
    return g_strdup_printf("%s (pid %d) %s", foreign->command[0] != '\0' ? foreign->command : "a process",
                           (int)foreign->pid, describe_use(foreign));
}

const char *
dlk_foreign_advise(const DlkForeign *foreign)
{
    const int use = find_use(foreign);
    if (use >= 0)
        return uses[use].advice;
    return foreign->pid > 0 ? "stop it, or acquire the lease with its pid" : "stop it where it runs";
}
