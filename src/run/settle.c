/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/settle.h"

static const unsigned int steering[] = { CAP_NET_ADMIN, CAP_BPF };

static void keep_permitted(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(steering); i++)
		capng_update(CAPNG_ADD, CAPNG_PERMITTED, steering[i]);
}

int settle_raise(bool is_raised)
{
	struct __user_cap_header_struct header = { .version =
							   _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(steering); i++) {
		uint32_t bit = 1U << steering[i] % 32;
		uint32_t *effective = &data[steering[i] / 32].effective;

		*effective = is_raised ? *effective | bit : *effective & ~bit;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

void settle_privileges(bool overrides, bool steers)
{
	static const int kept[] = { CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
				    CAP_NET_BIND_SERVICE, CAP_KILL };

	capng_get_caps_process();
	struct {
		unsigned int cap;
		bool keep;
	} rows[ARRAY_SIZE(kept) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		rows[i].cap = (unsigned int)kept[i];
		rows[i].keep = capng_have_capability(CAPNG_PERMITTED, rows[i].cap);
	}
	rows[ARRAY_SIZE(kept)].cap = CAP_DAC_OVERRIDE;
	rows[ARRAY_SIZE(kept)].keep =
		overrides && capng_have_capability(CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].keep)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
				     rows[i].cap);
	if (steers)
		keep_permitted();
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		log_warning("cannot give up capabilities");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
}

void settle_process(void)
{
	struct rlimit limit;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGCHLD)
			signal(sig, SIG_IGN);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		fd_close(null);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (chdir("/") < 0)
		log_debug("chdir: %m");
}
