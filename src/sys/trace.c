// SPDX-License-Identifier: GPL-2.0
/* The tracepoints, and functions for them that Rust can call. */

#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void keyagent_helper_trace_request_start(const char *type, s32 key)
{
	trace_request_start(type, key);
}

void keyagent_helper_trace_handover(s32 key, pid_t agent, int sig)
{
	trace_handover(key, agent, sig);
}

void keyagent_helper_trace_request_end(const char *type, s32 key, pid_t agent,
				       const char *outcome, u64 latency_ns)
{
	trace_request_end(type, key, agent, outcome, latency_ns);
}
