#include "backend/backends.h"
#include "backend/fake.h"

/* An executable that is linked with this file has the backend "fake" from its first line on. */
__attribute__((constructor)) static void
register_fake(void)
{
    dlk_backends_add(DLK_BACKEND(dlk_fake_backend_new()));
}
