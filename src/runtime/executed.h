/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

struct command;
struct settings;

/*
 * Would `exec` give a process what a container with a policy must not have, as
 * find_danger() says? Return: 0: no; -EPERM after one line.
 */
int executed_check(const struct settings *settings, const struct command *command);
