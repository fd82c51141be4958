/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy read backwards, where its endpoints are the registry's: for sockets that
 * came over exec or from another process. Where an endpoint is, is asked once, and again
 * when the registry has changed.
 */
#pragma once

/* To be called when the policy is there. AF_GRAFT sockets that were inherited are told of
 * as well. */
void reverse_named_start(void);
