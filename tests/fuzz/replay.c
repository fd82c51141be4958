/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a harness over the files of a corpus, for compilers without libFuzzer. Each file
 * is also tried cut short and with each of its bytes turned over.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __attribute__((weak)) LLVMFuzzerInitialize(int *argc, char ***argv);

static size_t n_inputs;

/* An exact-size copy, so that a sanitizer sees a step outside of it. */
static void try_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		exit(1);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	n_inputs++;
}

static int replay(int dir, const char *name)
{
	static uint8_t data[INPUT_MAX];
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : fd_read_all(fd, data, sizeof(data));

	if (size < 0) {
		fprintf(stderr, "cannot read %s\n", name);
		return 1;
	}
	try_one(data, (size_t)size);
	for (ssize_t i = 0; i < size && i < 2048; i++) {
		try_one(data, (size_t)i);
		for (int bit = 0; bit < 8; bit++) {
			data[i] ^= (uint8_t)(1u << bit);
			try_one(data, (size_t)size);
			data[i] ^= (uint8_t)(1u << bit);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	const struct dirent *item;
	int failed = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);

	if (!dir) {
		fprintf(stderr, "Usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	while ((item = readdir(dir)))
		if (item->d_name[0] != '.')
			failed |= replay(dirfd(dir), item->d_name);
	closedir(dir);
	printf("%zu inputs\n", n_inputs);
	return failed || n_inputs == 0;
}
