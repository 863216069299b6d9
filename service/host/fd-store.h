#pragma once

#include <glib.h>

/**
 * DlkFdStore: descriptors that systemd keeps over the end of this process (FileDescriptorStoreMax= in
 * systemd.service(5)), so that the locks on them stand while nobody runs. Where systemd does not run the
 * service there is no store; then nothing is kept, and nothing here fails.
 *
 * A descriptor is stored by a number, from 1, whose name is short: systemd hands all names over in one string
 * of the environment, LISTEN_FDNAMES, and execve(2) takes none that is longer than 128 KiB. Main thread, but
 * for dlk_fd_store_send().
 */
typedef struct _DlkFdStore DlkFdStore;

/**
 * More than this are not stored: 62 names of one character, 3,844 of two and the rest of three, each with the
 * ":" between, are 124,032 bytes. What is not stored lives by the journal of the leases alone.
 */
#define DLK_FD_STORE_MAX 32000
/** Room for a name and its NUL. */
#define DLK_FD_STORE_NAME_SIZE 4

/** Takes over what systemd passed to this process. */
DlkFdStore *dlk_fd_store_new(void);
/** Closes what nobody took; the store keeps its copies. */
void dlk_fd_store_free(DlkFdStore *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkFdStore, dlk_fd_store_free)

/** "0" to "7J7": @number, from 1 to DLK_FD_STORE_MAX, as a name. */
void dlk_fd_store_name(guint number, char name[DLK_FD_STORE_NAME_SIZE]);
/** 0: that is no such name. */
guint dlk_fd_store_number(const char *name);

/** The lowest number that is free, now taken; 0: there is no store, or it is full. */
guint dlk_fd_store_reserve(DlkFdStore *self);
/**
 * Stores a copy of @fd under @number. %FALSE: systemd cannot be told, which the log has. Any thread. What
 * systemd does not read in time is sent when it reads again.
 */
gboolean dlk_fd_store_send(guint number, int fd);
/** Both: the number, or 0 where there is no room or systemd cannot be told. */
guint dlk_fd_store_add(DlkFdStore *self, int fd);
/**
 * The store closes what it has under @number, which is free then; where systemd cannot be told, with the next
 * call. @number 0: nothing.
 */
void dlk_fd_store_remove(DlkFdStore *self, guint number);

/** Likewise, but when dlk_fd_store_remove_put_off() is called: until then nobody else gets the number. */
void dlk_fd_store_put_off(DlkFdStore *self, guint number);
void dlk_fd_store_remove_put_off(DlkFdStore *self);

/** What systemd passed under @number, given away, and the number is taken; -1: nothing, or it was given away
 * before. */
int dlk_fd_store_take(DlkFdStore *self, guint number);
/**
 * Any descriptor that was passed and nobody took, given away; -1: no more. @number: its own, or 0 where the
 * name is none of ours or somebody took another of that name.
 */
int dlk_fd_store_take_any(DlkFdStore *self, guint *number);
