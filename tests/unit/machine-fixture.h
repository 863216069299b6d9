#pragma once

#include "backend/sysfs-block.h"
#include "scratch.h"

#include <glib/gstdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A made-up machine: folders that say of its block devices what sysfs and udev would. */
typedef struct {
    Scratch scratch;
    char *sysfs, *udev, *dev;
    DlkDevices devices;
} Machine;

static inline void
machine_set_up(Machine *self, gconstpointer data)
{
    scratch_init(&self->scratch);
    self->sysfs = scratch_path(&self->scratch, "sys");
    self->udev = scratch_path(&self->scratch, "udev");
    self->dev = scratch_path(&self->scratch, "dev");
    self->devices = (DlkDevices){self->sysfs, self->udev, self->dev};
}

static inline void
machine_tear_down(Machine *self, gconstpointer data)
{
    scratch_clear(&self->scratch);
    g_free(self->sysfs);
    g_free(self->udev);
    g_free(self->dev);
}

static inline void
machine_make_folder_of(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
}

static inline void
machine_link(const char *link, const char *target)
{
    machine_make_folder_of(link);
    g_assert_cmpint(symlink(target, link), ==, 0);
}

/* @device: "sda", or "sda/sda1" for a partition, here and below. A file @name of it in sysfs holds @text. */
static inline void
machine_say(Machine *self, const char *device, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(self->sysfs, "devices", device, name, NULL);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    machine_make_folder_of(path);
    g_assert_true(g_file_set_contents(path, line, -1, NULL));
}

/* What udev's database says of the device with this number. */
static inline void
machine_tell_udev(Machine *self, const char *number, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/data/b%s", self->udev, number);
    machine_make_folder_of(path);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline void
machine_add(Machine *self, const char *device, const char *number)
{
    g_autofree char *folder = g_build_filename(self->sysfs, "devices", device, NULL);
    g_autofree char *by_number = g_build_filename(self->sysfs, "dev/block", number, NULL);
    machine_say(self, device, "dev", number);
    machine_link(by_number, folder);
}

static inline void
machine_add_disk(Machine *self, const char *device, const char *number)
{
    g_autofree char *folder = g_build_filename(self->sysfs, "devices", device, NULL);
    g_autofree char *by_name = g_build_filename(self->sysfs, "block", device, NULL);
    machine_add(self, device, number);
    machine_link(by_name, folder);
}

static inline void
machine_add_partition(Machine *self, const char *device, const char *which, const char *number)
{
    machine_add(self, device, number);
    machine_say(self, device, "partition", which);
}

/* @upper is made of @lower, perhaps among others. */
static inline void
machine_stack(Machine *self, const char *upper, const char *lower)
{
    g_autofree char *upper_name = g_path_get_basename(upper);
    g_autofree char *lower_name = g_path_get_basename(lower);
    g_autofree char *upper_folder = g_build_filename(self->sysfs, "devices", upper, NULL);
    g_autofree char *lower_folder = g_build_filename(self->sysfs, "devices", lower, NULL);
    g_autofree char *slave = g_build_filename(upper_folder, "slaves", lower_name, NULL);
    g_autofree char *holder = g_build_filename(lower_folder, "holders", upper_name, NULL);
    machine_link(slave, lower_folder);
    machine_link(holder, upper_folder);
}

/* A mapped device on top of @lower. */
static inline void
machine_map(Machine *self, const char *device, const char *number, const char *uuid, const char *name,
            const char *lower)
{
    machine_add_disk(self, device, number);
    machine_say(self, device, "dm/uuid", uuid);
    machine_say(self, device, "dm/name", name);
    if (lower != NULL)
        machine_stack(self, device, lower);
}

#define MACHINE_GROUP "LVM-AAAAAAaaaabbbbccccddddeeeeFFFFFF"
#define MACHINE_ROOT MACHINE_GROUP "rrrrrr0000111122223333444455rrrr"
#define MACHINE_HOME MACHINE_GROUP "hhhhhh0000111122223333444455hhhh"
#define MACHINE_ROOT_ID "lvm:rrrrrr-0000-1111-2222-3333-4444-55rrrr"
#define MACHINE_HOME_ID "lvm:hhhhhh-0000-1111-2222-3333-4444-55hhhh"

/* A SCSI disk sda with a partition that is the physical volume of two logical ones, dm-0 and dm-1. */
static inline void
machine_add_lvm(Machine *self)
{
    machine_add_disk(self, "sda", "4008:0");
    machine_say(self, "sda", "device/wwid", "naa.5000c500");
    machine_add_partition(self, "sda/sda1", "1", "4008:1");
    machine_map(self, "dm-0", "4053:0", MACHINE_ROOT, "vg-root", "sda/sda1");
    machine_map(self, "dm-1", "4053:1", MACHINE_HOME, "vg-home", "sda/sda1");
}

/* One LUN by two paths, sda and sdb, under a multipath map. */
static inline void
machine_add_multipath(Machine *self)
{
    machine_add_disk(self, "sda", "4008:0");
    machine_say(self, "sda", "device/wwid", "naa.600508b4000156d7");
    machine_add_partition(self, "sda/sda1", "1", "4008:1");
    machine_add_disk(self, "sdb", "4008:16");
    machine_say(self, "sdb", "device/wwid", "naa.600508b4000156d7");
    machine_map(self, "dm-0", "4053:0", "mpath-3600508b4000156d7", "mpatha", "sda");
    machine_stack(self, "dm-0", "sdb");
}
