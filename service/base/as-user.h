#pragma once

#include <glib.h>

/** As a system call: -1 with errno set, or anything else. */
typedef int (*DlkAsUserFunc)(gpointer data);

/**
 * dlk_as_user: calls @func with the filesystem rights of @user: a user's name, or "owner" for whom the file
 * behind @fd (any descriptor of it, O_PATH too) belongs to. That is for storage whose server does not heed
 * root (NFS exports with root_squash).
 *
 * Nobody else gets those rights: @func runs in a thread of its own, which ends with it. The caller waits, as
 * long as the storage does; so only workers call this. errno EACCES also where there is no such user, or
 * where the service may not take its rights (CAP_SETUID, CAP_SETGID).
 */
int dlk_as_user(const char *user, int fd, DlkAsUserFunc func, gpointer data);

/** Is @user "owner", or a user whom this host knows? May block: the users may be known to a server. */
gboolean dlk_as_user_is_known(const char *user);

/** dlk_as_user_reopen: as dlk_fd_reopen(), as @user; %NULL: as ourselves. */
int dlk_as_user_reopen(const char *user, int fd, int flags);
