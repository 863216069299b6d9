#pragma once

/**
 * dlk_lock_reach_limit: why fcntl locks on files of such a mount are known to this host alone, as a clause:
 * "the mount option nolock keeps locks on this host". %NULL: every host that mounts the filesystem sees them.
 * What is not known to pass locks on is taken not to. @filesystem: a
 * type, "nfs4"; @options: those of the filesystem, with "," between, as mountinfo has both. Free with
 * g_free().
 */
char *dlk_lock_reach_limit(const char *filesystem, const char *options);
