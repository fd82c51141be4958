/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the files of the folders given through a harness once, where there is no
 * libFuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *folder, const char *name)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ uint8_t *data = malloc(INPUT_MAX);
	char path[4096];
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file || !data) {
		perror(path);
		return -1;
	}
	size = fread(data, 1, INPUT_MAX, file);
	printf("%s: %zu bytes\n", name, size);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

static int run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	int n = 0, r = 0;

	if (!dir) {
		perror(folder);
		return -1;
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		r = run_file(folder, entry->d_name);
		n++;
	}
	closedir(dir);
	if (n == 0)
		fprintf(stderr, "%s: empty\n", folder);
	return n == 0 ? -1 : r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (run_folder(argv[i]) < 0)
			return EXIT_FAILURE;
	return argc > 1 ? 0 : EXIT_FAILURE;
}
