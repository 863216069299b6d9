#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What libvirt calls a lock driver: the layout of the structs that it and a plugin share, written down from
 * the outside. libvirt does not install a header for it; the layout has been the same since 1.0 and is so
 * in 7.0, 9.0, 11.3 and 12.8.
 */

#define VIR_LOCK_VERSION_MAJOR(version) ((version) / 1000000)

enum {
    VIR_LOCK_OBJECT_DOMAIN = 0,
};
enum {
    VIR_LOCK_RESOURCE_DISK = 0,
    VIR_LOCK_RESOURCE_LEASE = 1,
};
/* Flags of a resource. */
enum {
    VIR_LOCK_READONLY = 1 << 0,
    VIR_LOCK_SHARED = 1 << 1,
};
/* Flags of a new manager. */
enum {
    VIR_LOCK_NEW_STARTED = 1 << 0,
};
/* Flags of an acquisition. */
enum {
    VIR_LOCK_REGISTER_ONLY = 1 << 0,
    VIR_LOCK_RESTRICT = 1 << 1,
};
/* <on_lockfailure> */
typedef enum {
    VIR_LOCK_FAILURE_DEFAULT,
    VIR_LOCK_FAILURE_POWEROFF,
    VIR_LOCK_FAILURE_RESTART,
    VIR_LOCK_FAILURE_PAUSE,
    VIR_LOCK_FAILURE_IGNORE,
} VirLockFailure;

typedef struct {
    int type;
    const char *key;
    union {
        int i;
        long long l;
        unsigned int ui;
        unsigned long long ul;
        double d;
        char *str;
        const char *cstr;
        unsigned char uuid[16];
    } value;
} VirLockParam;

struct VirLockDriver;

/* Made by libvirt; @private_data is the plugin's. */
typedef struct {
    struct VirLockDriver *driver;
    void *private_data;
} VirLockManager;

typedef struct VirLockDriver {
    uint32_t version;
    uint32_t flags;
    int (*init)(unsigned int version, const char *config_file, unsigned int flags);
    int (*deinit)(void);
    int (*new_manager)(VirLockManager *manager, unsigned int object_type, size_t n_params,
                       VirLockParam *params, unsigned int flags);
    void (*free_manager)(VirLockManager *manager);
    int (*add_resource)(VirLockManager *manager, unsigned int type, const char *name, size_t n_params,
                        VirLockParam *params, unsigned int flags);
    int (*acquire)(VirLockManager *manager, const char *state, unsigned int flags, VirLockFailure action,
                   int *fd);
    int (*release)(VirLockManager *manager, char **state, unsigned int flags);
    int (*inquire)(VirLockManager *manager, char **state, unsigned int flags);
} VirLockDriver;

/** The symbol that libvirt looks up. */
__attribute__((visibility("default"))) extern VirLockDriver virLockDriverImpl;
