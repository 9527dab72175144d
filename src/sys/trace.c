// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints and the audit record, and functions for them that Rust can
 * call.
 */

#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/uidgid.h>

#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void keyagent_helper_trace_request_start(const char *type, s32 key)
{
	trace_keyagent_request_start(type, key);
}

/*
 * Does not wait for the audit daemon: a record that finds no room is lost, and
 * audit counts it as lost.
 */
static void audit_other_user(const char *type, s32 key,
			     struct task_struct *agent, kuid_t agent_uid)
{
	struct audit_buffer *record;

	if (audit_enabled == AUDIT_OFF)
		return;
	record = audit_log_start(audit_context(), GFP_ATOMIC | __GFP_NOWARN,
				 AUDIT_KERNEL_OTHER);
	if (!record)
		return;
	/* A kernel module chose the name of the type. */
	audit_log_format(record,
			 "op=keyagent_handover key=%d key_type=%s agent_pid=%d agent_uid=%u pid=%d uid=%u",
			 key, type, task_tgid_nr(agent),
			 from_kuid(&init_user_ns, agent_uid),
			 task_tgid_nr(current),
			 from_kuid(&init_user_ns, current_real_cred()->uid));
	audit_log_end(record);
}

void keyagent_helper_trace_handover(const char *type, s32 key,
				    struct task_struct *agent,
				    const struct cred *agent_cred, int sig)
{
	bool other_user = !uid_eq(agent_cred->uid, current_real_cred()->uid);

	trace_keyagent_handover(key, agent->tgid, sig, other_user);
	if (other_user)
		audit_other_user(type, key, agent, agent_cred->uid);
}

bool keyagent_helper_traces_request_end(void)
{
	return trace_keyagent_request_end_enabled();
}

void keyagent_helper_trace_request_end(const char *type, s32 key, pid_t agent,
				       const char *outcome, u64 latency_ns)
{
	trace_keyagent_request_end(type, key, agent, outcome, latency_ns);
}
