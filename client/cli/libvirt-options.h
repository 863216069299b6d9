#pragma once

#include <glib.h>

/** Where libvirt's configuration is; for the commands of `disklockctl libvirt`. */
extern const GOptionEntry dlk_libvirt_place_options[];
/** What --config-dir said, or libvirt's own default. */
const char *dlk_libvirt_config_dir(void);
