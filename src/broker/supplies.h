/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supplies of graftd's clients. One lives as long as its connection, and before each
 * filling the client's rights are looked at again.
 */
#pragma once

#include "broker/asked.h"

struct connection;

/* Starts one into asked->socket, which is taken over on success. Return: 0 or -errno. */
int supplies_start(struct asked *asked);
/* @connection ends: so do its supplies. */
void supplies_end(struct connection *connection);
