/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What graftd may do.
 */
#pragma once

/* Gives up every capability it does not need, as far as it has any. Return: 0 or -errno.
 */
int privileges_shed(void);
