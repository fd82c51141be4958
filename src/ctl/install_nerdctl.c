/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nerdctl has no file that names runtimes, nerdctl.toml no line for one: what --runtime
 * says is a shim of containerd's, if it begins with io.containerd., else the program that
 * containerd's shim of runc executes (BinaryName). So it takes the path, and that is all.
 */
#include <stdio.h>

#include "ctl/install.h"

int install_nerdctl(struct install *install)
{
	if (install->path) {
		fprintf(stderr, "graft: nerdctl has no file of runtimes\n");
		return 1;
	}
	if (install->what == UNINSTALL) {
		printf("nerdctl: nothing is registered, as it takes a path\n");
		return 0;
	}
	if (install_find_runtime(install) != 0)
		return 1;
	if (install->what == STATUS && install->json)
		return install_status(install, install->runtime);
	printf("nerdctl: nothing to register: nerdctl run --runtime %s\n",
	       install->runtime);
	return 0;
}
