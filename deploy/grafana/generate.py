#!/usr/bin/env python3
"""Writes the dashboards: `deploy/grafana/generate.py [FOLDER]` (default: dashboards, beside this file).

One function below is one dashboard. Panels (panels.py) flow from left to right in a grid that is 24 wide. Names of
metrics: otel/src/names.rs, as otel/src/prometheus spells them.
"""

import json
import pathlib
import sys

from panels import TRACES, choice, dashboard, datasource, heatmap, labels, lines, number, table

# What the variables at the top of a dashboard choose. A label that a series hasn't got matches "All".
WHERE = 'k8s_cluster_name=~"$cluster",k8s_namespace_name=~"$namespace",service_name=~"$workload",k8s_pod_name=~"$pod"'
SERVER = f'role="server",{WHERE}'
CONNECTIONS = "tracenet_tcp_connections_total"
# A full-sized segment on an Ethernet: what a share of retransmitted bytes is measured in.
SEGMENT_BYTES = 1448


def rate(metric, where=WHERE):
    return f"rate({metric}{{{where}}}[$__rate_interval])"


def total(metric, by="", where=WHERE):
    return f"sum{f' by ({by})' if by else ''} ({rate(metric, where)})"


def quantile(q, histogram, by="", where=WHERE):
    return f"histogram_quantile({q}, {total(histogram + '_bucket', 'le' + (', ' + by if by else ''), where)})"


def top(n, expression):
    return f"topk({n}, {expression})"


def resent_share(by=""):
    """Segments sent again, as a share of the segments that the bytes sent take at least."""
    sent = total("process_network_io_bytes_total", by, f'network_io_direction="transmit",{WHERE}')
    return f"{total('tracenet_tcp_retransmits_total', by)} / ({sent} / {SEGMENT_BYTES})"


def failed_share(by="", where=WHERE):
    """Connections that failed, of those that ended."""
    failed, ended = (total(CONNECTIONS, by, where) for where in (f'error_type!="",{where}', where))
    return f"({failed} or 0 * {ended}) / {ended}"


CHOICES = [
    datasource("metrics", "Prometheus", "prometheus"),
    datasource("traces", "Jaeger", "jaeger"),
    labels("cluster", "Cluster", f"{CONNECTIONS}, k8s_cluster_name"),
    labels("namespace", "Namespace", f'{CONNECTIONS}{{k8s_cluster_name=~"$cluster"}}, k8s_namespace_name'),
    labels("workload", "Workload", f'{CONNECTIONS}{{k8s_namespace_name=~"$namespace"}}, service_name'),
    labels("pod", "Pod", f'{CONNECTIONS}{{service_name=~"$workload"}}, k8s_pod_name'),
]


def overview():
    turns, drops = "tracenet_turn_duration_seconds", "tracenet_packet_drops_total"
    to_workload = {
        "title": "Why ${__value.text} is slow",
        "url": "/d/tracenet-workload?var-workload=${__value.text}&${__url_time_range}",
    }
    return dashboard(
        "tracenet-overview",
        "tracenet / Overview",
        "Which workloads suffer on the network, and from what.",
        [
            number("Turns", "Requests answered, a second.", total(f"{turns}_count", where=SERVER), "reqps"),
            number(
                "Turn p99",
                "The slowest hundredth of the answers takes longer.",
                quantile(0.99, turns, where=SERVER),
                "s",
            ),
            number(
                "RTT p99",
                "Round trips on the wire, of acknowledged segments.",
                quantile(0.99, "tracenet_tcp_rtt_seconds"),
                "s",
            ),
            number(
                "Sent again", "Segments sent again, of those sent.", resent_share(), "percentunit", warn=0.01
            ),
            number("Drops", "Packets that the nodes' kernels threw away.", total(drops), "pps", warn=1),
            number("Failed connections", "Of those that ended.", failed_share(), "percentunit", warn=0.01),
            lines(
                "Turns by workload",
                "The ten busiest.",
                [("{{service_name}}", top(10, total(f"{turns}_count", "service_name", SERVER)))],
                "reqps",
                link=TRACES,
            ),
            lines(
                "Turn p99 by workload",
                "The ten slowest; points are traces.",
                [("{{service_name}}", top(10, quantile(0.99, turns, "service_name", SERVER)))],
                "s",
                link=TRACES,
                exemplars=True,
            ),
            lines(
                "Drops by reason",
                "The kernel's reasons.",
                [("{{reason}}", top(10, total(drops, "reason")))],
                "pps",
                stack="normal",
            ),
            lines(
                "Sent again by cause",
                "A timeout costs most, a fast retransmission little.",
                [("{{type}}", total("tracenet_tcp_retransmits_total", "type"))],
                "pps",
                stack="normal",
            ),
            lines(
                "Failed connections by error",
                "",
                [("{{error_type}}", total(CONNECTIONS, "error_type", f'error_type!="",{WHERE}'))],
                "cps",
                stack="normal",
            ),
            lines(
                "RTT p99 by workload",
                "The ten farthest.",
                [("{{service_name}}", top(10, quantile(0.99, "tracenet_tcp_rtt_seconds", "service_name")))],
                "s",
            ),
            table(
                "Workloads",
                "A click on the name tells why it is slow.",
                [
                    ("Turns", total(f"{turns}_count", "service_name", SERVER), "reqps"),
                    ("p50", quantile(0.5, turns, "service_name", SERVER), "s"),
                    ("p99", quantile(0.99, turns, "service_name", SERVER), "s"),
                    ("Failed connections", failed_share("service_name"), "percentunit"),
                    ("Sent again", resent_share("service_name"), "percentunit"),
                    ("Drops", total(drops, "service_name"), "pps"),
                ],
                "service_name",
                to_workload,
            ),
        ],
        CHOICES,
    )


def workload():
    turns, role = "tracenet_turn_duration_seconds", f'role="$role",{WHERE}'
    spent = "tracenet_turn_time_seconds_total"
    parts = total(spent, "part", role)
    trouble = total(
        spent, "part", f'part=~"loss_.*|zero_window_.*|accept_queue|egress_queue|run_queue",{role}'
    )
    each = f"{parts} / on () group_left () {total(f'{turns}_count', where=role)}"
    variables = [*CHOICES, choice("role", "As", ["server", "client"])]
    return dashboard(
        "tracenet-workload",
        "tracenet / Workload",
        "Rate, errors and duration of a workload's turns, and where their time goes.",
        [
            lines(
                "Rate",
                "Turns a second.",
                [("{{service_name}}", total(f"{turns}_count", "service_name", role))],
                "reqps",
                link=TRACES,
                width=8,
            ),
            lines(
                "Errors",
                "Connections that failed, by error.",
                [("{{error_type}}", total(CONNECTIONS, "error_type", f'error_type!="",{role}'))],
                "cps",
                stack="normal",
                width=8,
            ),
            lines(
                "Duration",
                "From a request's first byte to its response's last; points are traces.",
                [(f"p{q}", quantile(q / 100, turns, where=role)) for q in (50, 90, 99)],
                "s",
                exemplars=True,
                width=8,
            ),
            lines(
                "Why slow: a turn's time",
                "What an average turn spends its time on. The parts add up to its duration.",
                [("{{part}}", each)],
                "s",
                stack="normal",
                height=10,
            ),
            lines(
                "Why slow: shares",
                "The same, each part of the whole.",
                [("{{part}}", parts)],
                "s",
                stack="percent",
                height=10,
            ),
            heatmap(
                "Durations", "Each point is a trace: a click opens it.", total(f"{turns}_bucket", "le", role)
            ),
            lines(
                "Trouble's share",
                "Of the time: losses, shut windows and full queues.",
                [("{{part}}", f"{trouble} / on () group_left () {total(spent, where=role)}")],
                "percentunit",
            ),
            lines(
                "Bytes",
                "What its processes wrote to and read from sockets.",
                [
                    (
                        "{{network_io_direction}}",
                        total("process_network_io_bytes_total", "network_io_direction"),
                    )
                ],
                "Bps",
            ),
            lines(
                "Sent again by cause",
                "",
                [("{{type}}", total("tracenet_tcp_retransmits_total", "type"))],
                "pps",
                stack="normal",
            ),
        ],
        variables,
    )


def drops():
    metric = "tracenet_packet_drops_total"
    return dashboard(
        "tracenet-drops",
        "tracenet / Drops",
        "Packets that a node's kernel threw away: why, where, and whose they were.",
        [
            lines(
                "By reason",
                "enum skb_drop_reason of the kernel.",
                [("{{reason}}", total(metric, "reason"))],
                "pps",
                stack="normal",
            ),
            lines(
                "By layer",
                "The part of the kernel that threw them away.",
                [("{{layer}}", total(metric, "layer"))],
                "pps",
                stack="normal",
            ),
            lines(
                "By workload",
                "The ten that lost most.",
                [("{{service_name}}", top(10, total(metric, "service_name")))],
                "pps",
                stack="normal",
                link=TRACES,
            ),
            lines(
                "By direction and transport",
                "",
                [("{{transport}} {{direction}}", total(metric, "transport, direction"))],
                "pps",
                stack="normal",
            ),
            lines(
                "Firewall",
                "Dropped by netfilter: a rule of somebody's; the traces name it.",
                [("{{service_name}}", total(metric, "service_name", f'layer="netfilter",{WHERE}'))],
                "pps",
                link=TRACES,
            ),
            lines(
                "Full queues and buffers",
                "Senders were faster than receivers, or than the link.",
                [
                    (
                        "{{reason}} {{service_name}}",
                        total(metric, "reason, service_name", f'layer=~"qdisc|backlog|socket|udp",{WHERE}'),
                    )
                ],
                "pps",
            ),
            table(
                "Reasons",
                "",
                [
                    (
                        "In the time shown",
                        f"sum by (reason) (increase({metric}{{{WHERE}}}[$__range]))",
                        "short",
                    ),
                    ("Now", total(metric, "reason"), "pps"),
                ],
                "reason",
            ),
        ],
        CHOICES,
    )


def connections():
    accept = "tracenet_tcp_accept_queue_wait_duration_seconds"

    def quantiles(metric):
        return [(f"p{q}", quantile(q / 100, metric)) for q in (50, 90, 99)]

    return dashboard(
        "tracenet-connections",
        "tracenet / Connections",
        "How good the connections are: round trips, handshakes, losses, resets, queues.",
        [
            lines(
                "Round-trip time",
                "On the wire, of acknowledged segments.",
                quantiles("tracenet_tcp_rtt_seconds"),
                "s",
            ),
            lines(
                "Handshake",
                "From connect to established; a second or more is a SYN that was lost.",
                quantiles("tracenet_tcp_handshake_duration_seconds"),
                "s",
            ),
            lines(
                "Sent again, share",
                "Of the segments that the bytes sent take at least.",
                [("{{service_name}}", top(10, resent_share("service_name")))],
                "percentunit",
                link=TRACES,
            ),
            lines(
                "Sent again by cause",
                "",
                [("{{type}}", total("tracenet_tcp_retransmits_total", "type"))],
                "pps",
                stack="normal",
            ),
            lines(
                "Ended",
                "By role, and the error of those that failed.",
                [("{{role}} {{error_type}}", total(CONNECTIONS, "role, error_type"))],
                "cps",
                stack="normal",
            ),
            lines(
                "Resets",
                "Sent and received, with the kernel's reason.",
                [("{{direction}} {{cause}}", total("tracenet_tcp_resets_total", "direction, cause"))],
                "pps",
            ),
            lines(
                "Wait to be accepted",
                "p99 by listening port: a program that is too busy to accept.",
                [("{{service_name}} :{{server_port}}", quantile(0.99, accept, "service_name, server_port"))],
                "s",
                link=TRACES,
            ),
            lines(
                "Length of connections",
                "Short ones pay for their handshake again and again.",
                quantiles("tracenet_tcp_connection_duration_seconds"),
                "s",
                exemplars=True,
            ),
            lines(
                "Bytes",
                "",
                [
                    (
                        "{{network_io_direction}}",
                        total("process_network_io_bytes_total", "network_io_direction"),
                    )
                ],
                "Bps",
            ),
        ],
        CHOICES,
    )


def agent():
    lost, of = "tracenet_agent_events_lost_total", 'job=~"$job",instance=~"$instance"'
    variables = [
        datasource("metrics", "Prometheus", "prometheus"),
        labels("job", "Job", 'target_info{service_name="tracenet"}, job'),
        labels("instance", "Agent", 'target_info{job=~"$job"}, instance'),
    ]
    return dashboard(
        "tracenet-agent",
        "tracenet / Agents",
        "Whether the agents are well, and what they could not see.",
        [
            number("Agents up", "", f"sum(up{{{of}}})"),
            number("Agents down", "", f"count(up{{{of}}} == 0) or vector(0)", warn=1),
            number("Events lost", "A second, wherever.", total(lost, where=of), "eps", warn=0.001),
            number(
                "Samples a scrape",
                "Series that an agent exposes, the most of one.",
                f"max(scrape_samples_scraped{{{of}}})",
                warn=50000,
            ),
            number("Scrape", "The slowest.", f"max(scrape_duration_seconds{{{of}}})", "s", warn=5),
            number(
                "Versions",
                "More than one: an update is on its way, or stuck.",
                f"count(count by (service_version) (target_info{{{of}}}))",
                warn=2,
            ),
            lines(
                "Lost by place",
                "ringbuf: programs were faster than the agent; queue, export: the collector was slower.",
                [("{{source}}", total(lost, "source", of))],
                "eps",
                stack="normal",
            ),
            lines(
                "Lost by agent",
                "The ten that lost most.",
                [("{{instance}}", top(10, total(lost, "instance", of)))],
                "eps",
            ),
            lines("Up", "", [("{{instance}}", f"up{{{of}}}")]),
            lines(
                "Samples by agent",
                "A bound on series holds in the agent; what is beyond it has the label otel_metric_overflow.",
                [("{{instance}}", f"scrape_samples_scraped{{{of}}}")],
            ),
            lines(
                "Series in overflow",
                "More than none: raise no limits, but choose what is observed (agent.selectors).",
                [("{{instance}}", f'count by (instance) ({{otel_metric_overflow="true",{of}}})')],
            ),
            lines("Time of a scrape", "", [("{{instance}}", f"scrape_duration_seconds{{{of}}}")], "s"),
            lines(
                "Spans exported",
                "By what became of them: without an error, a collector took them.",
                [("exported {{error_type}}", total("otel_sdk_exporter_span_exported_total", "error_type", of))],
                "cps",
                stack="normal",
            ),
            lines(
                "Metric points exported",
                "By what became of them.",
                [
                    (
                        "exported {{error_type}}",
                        total("otel_sdk_exporter_metric_data_point_exported_total", "error_type", of),
                    )
                ],
                "cps",
                stack="normal",
            ),
            lines(
                "Fill of the queue",
                "Of the memory for spans; what is beyond it is shed, the least valuable first.",
                [
                    (
                        "{{instance}}",
                        f"otel_sdk_processor_span_queue_size{{{of}}} / otel_sdk_processor_span_queue_capacity{{{of}}}",
                    )
                ],
                "percentunit",
            ),
            lines(
                "Spans in flight and on disk",
                "On disk they wait for a collector.",
                [
                    ("{{instance}} in flight", f"otel_sdk_exporter_span_inflight{{{of}}}"),
                    ("{{instance}} on disk", f"tracenet_agent_spool_spans{{{of}}}"),
                ],
            ),
            lines(
                "CPU",
                "Of the agents: 100 % is one processor.",
                [("{{instance}}", total("process_cpu_time_seconds_total", "instance", f'service_name="tracenet",{of}'))],
                "percentunit",
            ),
            lines(
                "Memory",
                "Resident. Beyond agent.memory_limit an agent follows processes less far.",
                [("{{instance}}", f'process_memory_usage_bytes{{service_name="tracenet",{of}}}')],
                "bytes",
            ),
        ],
        variables,
    )


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    for make in (overview, workload, drops, connections, agent):
        text = json.dumps(make(), indent=2, ensure_ascii=False)
        (folder / f"{make.__name__}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
