/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structures of <linux/graft.h> as 32-bit and 64-bit programs see them. Compiling it
 * is the test; struct graft_genl_endpoint holds a size_t and is not the same, which is
 * why nothing here speaks it.
 */
#include <stddef.h>
#include <sys/socket.h>

#include "linux/graft.h"

_Static_assert(sizeof(struct sockaddr_gr) == 18, "sockaddr_gr");
_Static_assert(_Alignof(struct sockaddr_gr) == 2, "sockaddr_gr");
_Static_assert(offsetof(struct sockaddr_gr, sgr_epname) == 2, "sockaddr_gr");
_Static_assert(sizeof(struct graft_sso_result) == 12, "graft_sso_result");
_Static_assert(sizeof(struct graft_sso_trans) == 12, "graft_sso_trans");
_Static_assert(offsetof(struct graft_genl_endpoint, addrlen) == 132,
	       "graft_genl_endpoint");
_Static_assert(AF_GRAFT == 4 && IPPROTO_GRAFT == 254, "numbers");

int main(void)
{
	return 0;
}
