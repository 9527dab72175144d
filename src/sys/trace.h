/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the requests that come to the module.
 *
 * Neither payloads nor callout information are ever part of an event.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM keyagent

#if !defined(_KEYAGENT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KEYAGENT_TRACE_H

#include <linux/key.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

TRACE_EVENT(keyagent_request_start,
	TP_PROTO(const char *type, s32 key),
	TP_ARGS(type, key),
	TP_STRUCT__entry(
		__string(type, type)
		__field(s32, key)
		__field(pid_t, requester)
	),
	TP_fast_assign(
		__assign_str(type);
		__entry->key = key;
		__entry->requester = current->tgid;
	),
	TP_printk("type=%s key=%d requester=%d",
		  __get_str(type), __entry->key, __entry->requester)
);

/* @other_user: the agent has another real user ID than the requester. */
TRACE_EVENT(keyagent_handover,
	TP_PROTO(s32 key, pid_t agent, int sig, bool other_user),
	TP_ARGS(key, agent, sig, other_user),
	TP_STRUCT__entry(
		__field(s32, key)
		__field(pid_t, requester)
		__field(pid_t, agent)
		__field(int, sig)
		__field(bool, other_user)
	),
	TP_fast_assign(
		__entry->key = key;
		__entry->requester = current->tgid;
		__entry->agent = agent;
		__entry->sig = sig;
		__entry->other_user = other_user;
	),
	TP_printk("key=%d requester=%d agent=%d sig=%d other_user=%d",
		  __entry->key, __entry->requester, __entry->agent,
		  __entry->sig, __entry->other_user)
);

/* @agent is 0 when no agent was asked. */
TRACE_EVENT(keyagent_request_end,
	TP_PROTO(const char *type, s32 key, pid_t agent, const char *outcome,
		 u64 latency_ns),
	TP_ARGS(type, key, agent, outcome, latency_ns),
	TP_STRUCT__entry(
		__string(type, type)
		__field(s32, key)
		__field(pid_t, requester)
		__field(pid_t, agent)
		__string(outcome, outcome)
		__field(u64, latency_ns)
	),
	TP_fast_assign(
		__assign_str(type);
		__entry->key = key;
		__entry->requester = current->tgid;
		__entry->agent = agent;
		__assign_str(outcome);
		__entry->latency_ns = latency_ns;
	),
	TP_printk("type=%s key=%d requester=%d agent=%d outcome=%s latency_ns=%llu",
		  __get_str(type), __entry->key, __entry->requester,
		  __entry->agent, __get_str(outcome), __entry->latency_ns)
);

#endif /* _KEYAGENT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
