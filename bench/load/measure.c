// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clocks and samples. The machine's busy time is everything /proc/stat does not call
 * idle, I/O wait or steal: unlike the times of processes it has the soft interrupts, the
 * relays and the kernel threads in it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int samples_add(struct samples *samples, uint64_t ns)
{
	if (samples->n == samples->allocated) {
		size_t allocated = samples->allocated ? samples->allocated * 2 : 1 << 16;
		uint32_t *grown = realloc(samples->ns, allocated * sizeof(*grown));

		if (!grown)
			return -1;
		samples->ns = grown;
		samples->allocated = allocated;
	}
	samples->ns[samples->n++] = ns < UINT_MAX ? (uint32_t)ns : UINT_MAX;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double samples_at(struct samples *samples, double fraction)
{
	size_t i;

	if (!samples->n)
		return 0;
	qsort(samples->ns, samples->n, sizeof(*samples->ns), compare);
	i = (size_t)(fraction * (double)samples->n);
	if (i >= samples->n)
		i = samples->n - 1;
	return samples->ns[i] / 1000.0;
}

static double seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* user nice system (idle iowait) irq softirq: the fields that are work. */
static double machine_busy(void)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq;
	FILE *file = fopen("/proc/stat", "re");
	int n;

	if (!file)
		return -1;
	n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
		   &idle, &iowait, &irq, &softirq);
	fclose(file);
	if (n != 7)
		return -1;
	return (double)(user + nice + system + irq + softirq) /
	       (double)sysconf(_SC_CLK_TCK);
}

void cpu_read(struct cpu *ret_cpu)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	ret_cpu->user = seconds_of(usage.ru_utime);
	ret_cpu->system = seconds_of(usage.ru_stime);
	ret_cpu->busy = machine_busy();
}
