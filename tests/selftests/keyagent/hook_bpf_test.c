// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs at the function that the module hooks, before it and after: fentry
 * and fexit. They are attached by a trampoline that the kernel calls directly.
 *
 * Needs a kernel with CONFIG_DEBUG_INFO_BTF and CONFIG_BPF_JIT.
 */

#define _GNU_SOURCE
#include <linux/bpf.h>
#include <linux/btf.h>

#include "hook.h"

#define BTF_VMLINUX	"/sys/kernel/btf/vmlinux"
#define BPF_JIT		"/proc/sys/net/core/bpf_jit_enable"

/* --------------------------------------------------------------------- BTF */

/* The bytes of a type after its struct btf_type; -1: the kind is not known. */
static long btf_rest(uint32_t info)
{
	const long vlen = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return vlen * sizeof(struct btf_param);
	case BTF_KIND_VAR:
		return sizeof(struct btf_var);
	case BTF_KIND_DATASEC:
		return vlen * sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG:
		return sizeof(struct btf_decl_tag);
	case BTF_KIND_ENUM64:
		return vlen * sizeof(struct btf_enum64);
	default:
		return -1;
	}
}

/* The number of a function of the kernel in its BTF; 0: it is not there. */
static uint32_t btf_function(const char *data, const char *name)
{
	const struct btf_header *h = (const void *)data;
	const char *strings = data + h->hdr_len + h->str_off;
	const char *p = data + h->hdr_len + h->type_off;
	const char *end = p + h->type_len;
	const struct btf_type *t;
	uint32_t id;
	long rest;

	/* Number 0 is void, which is not in the file. */
	for (id = 1; p < end; id++) {
		t = (const void *)p;
		rest = btf_rest(t->info);
		if (rest < 0)
			return 0;
		if (BTF_INFO_KIND(t->info) == BTF_KIND_FUNC &&
		    !strcmp(strings + t->name_off, name))
			return id;
		p += sizeof(*t) + rest;
	}
	return 0;
}

/* The kernel's BTF; NULL: it has none. */
static char *btf_read(void)
{
	char *data = NULL;
	struct stat st;

	if (!stat(BTF_VMLINUX, &st))
		data = malloc(st.st_size + 1);
	if (data && !file_read(BTF_VMLINUX, data, st.st_size + 1)) {
		free(data);
		data = NULL;
	}
	return data;
}

/* ----------------------------------------------------------------- programs */

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

static char verifier_log[4096];
static int counter = -1, program = -1, attached = -1;

/* An array of one number. */
static int counter_make(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint64_t),
		.max_entries = 1,
	};

	return sys_bpf(BPF_MAP_CREATE, &attr);
}

/* A program that adds one to the number. */
static int program_load(uint32_t function, enum bpf_attach_type type)
{
	struct bpf_insn insns[] = {
		/* r1 = the address of the number: two instructions */
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = counter },
		{ .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1 },
		/* *r1 += r2 */
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1,
		  .src_reg = 2, .imm = BPF_ADD },
		/* return 0 */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_TRACING,
		.expected_attach_type = type,
		.attach_btf_id = function,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t)"GPL",
		.log_buf = (uintptr_t)verifier_log,
		.log_size = sizeof(verifier_log),
		.log_level = 1,
	};

	return sys_bpf(BPF_PROG_LOAD, &attr);
}

static int bpf_attach(void)
{
	union bpf_attr attr = { .raw_tracepoint.prog_fd = program };

	attached = sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	return attached < 0 ? -1 : 0;
}

/* The last descriptor of it: the program is detached when close() returns. */
static int bpf_detach(void)
{
	int ret = close(attached);

	attached = -1;
	return ret;
}

static long bpf_hits(void)
{
	uint64_t value = 0;
	uint32_t key = 0;
	union bpf_attr attr = {
		.map_fd = counter,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&value,
	};

	return sys_bpf(BPF_MAP_LOOKUP_ELEM, &attr) ? -1 : (long)value;
}

static const struct other bpf = { bpf_attach, bpf_detach, bpf_hits };

/* -------------------------------------------------------------------- tests */

FIXTURE(bpf)
{
	struct agent agent;
};

FIXTURE_VARIANT(bpf)
{
	enum bpf_attach_type type;
	bool first;		/* before the module */
};

FIXTURE_VARIANT_ADD(bpf, fentry_first)
{
	.type = BPF_TRACE_FENTRY,
	.first = true,
};

FIXTURE_VARIANT_ADD(bpf, fentry_later)
{
	.type = BPF_TRACE_FENTRY,
	.first = false,
};

FIXTURE_VARIANT_ADD(bpf, fexit_first)
{
	.type = BPF_TRACE_FEXIT,
	.first = true,
};

FIXTURE_VARIANT_ADD(bpf, fexit_later)
{
	.type = BPF_TRACE_FEXIT,
	.first = false,
};

FIXTURE_SETUP(bpf)
{
	char *data;
	uint32_t id;

	hook_begin(_metadata);
	data = btf_read();
	if (!data)
		SKIP(_exit(KSFT_SKIP), "the kernel has no " BTF_VMLINUX);
	id = btf_function(data, HOOKED);
	free(data);
	ASSERT_NE(0u, id) {
		TH_LOG(HOOKED "() is not in " BTF_VMLINUX);
	}
	if (lines_with(BPF_JIT, "0\n"))
		SKIP(_exit(KSFT_SKIP), "the kernel does not compile BPF programs");
	counter = counter_make();
	ASSERT_LE(0, counter) {
		TH_LOG("BPF_MAP_CREATE: %s", strerror(errno));
	}
	program = program_load(id, variant->type);
	ASSERT_LE(0, program) {
		TH_LOG("BPF_PROG_LOAD: %s: %s", strerror(errno), verifier_log);
	}
}

FIXTURE_TEARDOWN(bpf)
{
	if (attached >= 0)
		bpf_detach();
	close(program);
	close(counter);
	hook_end(_metadata, &self->agent);
}

TEST_F_TIMEOUT(bpf, goes_first, 60)
{
	hook_with(_metadata, &bpf, &self->agent, variant->first);
	hook_without_other(_metadata, &bpf, &self->agent);
}

TEST_F_TIMEOUT(bpf, goes_last, 60)
{
	hook_with(_metadata, &bpf, &self->agent, variant->first);
	other_without_hook(_metadata, &bpf);
}

KEYAGENT_HARNESS_MAIN
