#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * The bytes of an image file that lock it, by agreement of all who use them. Byte 0 is virtlockd's (write
 * lock: exclusive, read lock: shareable); 1 libvirt's, held for moments; QEMU holds a read lock on 100 + n
 * for each permission it uses and on 200 + n for each that it does not share (QEMU, block/file-posix.c).
 */
#define DLK_BYTE_LEASE 0
#define DLK_BYTE_SHARED_WRITER 2 /* ours, for readers=strict: a shared lease stands */
#define DLK_BYTE_STRICT_READER 3 /* ours: a reader that tolerates no writer stands */
#define DLK_BYTE_FENCE                                                                                       \
    4 /* ours, of lock files: who takes a lease has it read-locked meanwhile, who fences write-locked */
#define DLK_BYTE_NO_SLOT 5 /* ours, of lock files: a lease stands for whose record no slot was free */
#define DLK_BYTE_HOLDER_FIRST                                                                                \
    0x40000000 /* ours: a lease read-locks one of them for as long as its record in an attribute stands */
#define DLK_BYTE_HOLDERS 0x20000000
#define DLK_BYTE_QEMU_FIRST 100
#define DLK_BYTE_QEMU_READS 100
#define DLK_BYTE_QEMU_WRITES 101
#define DLK_BYTE_QEMU_SHARES_NO_WRITES 201
#define DLK_BYTE_QEMU_LAST 299

/*
 * Where locks are mandatory, whoever reads or writes a locked byte is refused, the virtual machine first of
 * all: there our bytes are counted from here on, behind the end of every image, and nobody else's are looked
 * at.
 */
#define DLK_BYTES_BEYOND (G_GUINT64_CONSTANT(1) << 62)

/** A lock file's own bytes: behind so many, holders lock the slots in which they write their records. */
#define DLK_LOCK_FILE_HEADER 1024

typedef enum {
    DLK_BYTE_FREE,
    DLK_BYTE_READ_LOCKED,
    DLK_BYTE_WRITE_LOCKED,
    DLK_BYTE_UNKNOWN, /* errno says why */
} DlkByteState;

/**
 * dlk_image_locks_ask: what another open file description holds on the bytes @first to @last of @fd, which is
 * open for reading at least. @pid (out, may be %NULL): its holder, or 0 where the kernel does not say.
 */
DlkByteState dlk_image_locks_ask(int fd, guint64 first, guint64 last, pid_t *pid);
/**
 * dlk_image_locks_ask_for_writer: does another open file description hold a write lock on @first to @last?
 * Unlike dlk_image_locks_ask() this looks past the read locks of others: an NFS client that finds one of them
 * on its own host asks the server nothing.
 */
DlkByteState dlk_image_locks_ask_for_writer(int fd, guint64 first, guint64 last, pid_t *pid);
/** F_OFD_SETLK: @type is F_RDLCK, F_WRLCK or F_UNLCK. FALSE with errno set; EAGAIN: somebody else has it. */
gboolean dlk_image_locks_set(int fd, guint64 byte, short type);
/** Likewise for the @length bytes from @first on. */
gboolean dlk_image_locks_set_range(int fd, guint64 first, guint64 length, short type);
/** Gives up every lock that @fd's open file description holds. FALSE with errno set. */
gboolean dlk_image_locks_clear(int fd);
