/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What programs for UNIX sockets are attached as, since Linux 6.7; Debian 12's headers
 * and libbpf are older.
 */
#pragma once

#include <linux/bpf.h>

#define UNIX_CONNECT     ((enum bpf_attach_type)49)
#define UNIX_SENDMSG     ((enum bpf_attach_type)50)
#define UNIX_RECVMSG     ((enum bpf_attach_type)51)
#define UNIX_GETPEERNAME ((enum bpf_attach_type)52)
