/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel interfaces that are newer than the headers of the oldest system we build on
 * (Linux 6.1 headers). Values from the kernel's UAPI headers.
 */
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* 5.19 */
#	define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* 6.6 */
#	define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, uint64_t)
#	define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP /* 6.7, Landlock ABI 4 */
#	define LANDLOCK_ACCESS_NET_BIND_TCP    (1ULL << 0)
#	define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET /* 6.12, Landlock ABI 6 */
#	define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#endif
#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif
