/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sockets' programs whose cost is measured, where that is charged or held to a budget. */

#define MEASURED(program, tracepoint, site, function)           \
	SEC("tp_btf/" tracepoint)                               \
	int program(u64 *ctx)                                   \
	{                                                       \
		u64 began = call_begins(site, current_tgid());  \
                                                                \
		function(ctx);                                  \
		call_ends(site, began);                         \
		return 0;                                       \
	}

MEASURED(on_set_state, "inet_sock_set_state", COST_STATE, state_changes)
MEASURED(on_destroy, "tcp_destroy_sock", COST_DESTROY, is_destroyed)
MEASURED(on_data_ready, "sk_data_ready", COST_DATA_READY, is_readable)
MEASURED(on_dev_queue, "net_dev_queue", COST_DEV_QUEUE, leaves_for_device)
