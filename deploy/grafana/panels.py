"""What dashboards are made of: panels, variables and the grid."""

import json
import urllib.parse

SOURCE = {"type": "prometheus", "uid": "${metrics}"}


def traces(service):
    """A link to the traces of a service, in the time that is shown."""
    query = {
        "refId": "A",
        "datasource": {"type": "jaeger", "uid": "${traces}"},
        "queryType": "search",
        "service": service,
    }
    pane = {"datasource": "${traces}", "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    # Braces and dollars stay as they are: Grafana looks for its variables in them.
    panes = urllib.parse.quote(json.dumps({"traces": pane}, separators=(",", ":")), safe="${}_.:")
    return {
        "title": f"Traces of {service}",
        "url": f"/explore?schemaVersion=1&panes={panes}",
        "targetBlank": True,
    }


TRACES = traces("${__field.labels.service_name}")


class Panel:
    """A panel: kind, title, what the viewer should read from it, and (legend, expression) pairs."""

    def __init__(self, kind, title, description, queries, unit="short", width=12, height=8, **more):
        self.width, self.height = width, height
        defaults = {"unit": unit}
        if kind in ("timeseries", "stat"):
            defaults["min"] = 0
        defaults.update(more.pop("defaults", {}))
        exemplars = more.pop("exemplars", False)
        formats = more.pop("format", "time_series")
        instant = formats == "table"
        targets = [
            {
                "refId": chr(ord("A") + n),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "format": formats,
                "instant": instant,
                "range": not instant,
                "exemplar": exemplars,
            }
            for n, (legend, expression) in enumerate(queries)
        ]
        self.json = {
            "type": kind,
            "title": title,
            "description": description,
            "datasource": SOURCE,
            "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
            **more,
        }


def lines(title, description, queries, unit="short", stack=False, link=None, **more):
    custom = {"lineWidth": 1, "fillOpacity": 60 if stack else 8, "showPoints": "never"}
    custom["stacking"] = {"mode": stack or "none", "group": "A"}
    return Panel(
        "timeseries",
        title,
        description,
        queries,
        unit,
        defaults={"custom": custom, "links": [link] if link else []},
        options={
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["mean", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        **more,
    )


def number(title, description, expression, unit="short", warn=None, **more):
    steps = [{"color": "green", "value": None}]
    if warn is not None:
        steps.append({"color": "red", "value": warn})
    return Panel(
        "stat",
        title,
        description,
        [("", expression)],
        unit,
        width=4,
        height=4,
        defaults={"thresholds": {"mode": "absolute", "steps": steps}, "noValue": "0", "decimals": 2},
        options={"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "colorMode": "value"},
        **more,
    )


def table(title, description, columns, by, link=None):
    """Columns of (name, expression, unit), joined by a label, whose cells may be links."""
    letters = [chr(ord("A") + n) for n in range(len(columns))]
    links = [{"id": "links", "value": [link]}] if link else []
    overrides = [{"matcher": {"id": "byName", "options": by}, "properties": links}]
    for letter, (name, _, unit) in zip(letters, columns):
        properties = [{"id": "displayName", "value": name}, {"id": "unit", "value": unit}]
        overrides.append(
            {"matcher": {"id": "byName", "options": f"Value #{letter}"}, "properties": properties}
        )
    hidden = {name: True for name in ("Time", *(f"Time {n + 1}" for n in range(len(columns))))}
    return Panel(
        "table",
        title,
        description,
        [(name, expression) for name, expression, _ in columns],
        width=24,
        height=10,
        format="table",
        overrides=overrides,
        options={"sortBy": [{"displayName": columns[0][0], "desc": True}], "showHeader": True},
        transformations=[
            {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
            {"id": "organize", "options": {"excludeByName": hidden}},
        ],
    )


def heatmap(title, description, expression, **more):
    return Panel(
        "heatmap",
        title,
        description,
        [("{{le}}", expression)],
        format="heatmap",
        exemplars=True,
        options={
            "calculate": False,
            "yAxis": {"unit": "s", "axisPlacement": "left"},
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "cellGap": 1,
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "tooltip": {"mode": "single", "yHistogram": False},
            "legend": {"show": True},
        },
        **more,
    )


def datasource(name, label, kind):
    return {"type": "datasource", "name": name, "label": label, "query": kind, "current": {}, "refresh": 1}


def labels(name, label, of, multi=True):
    """A variable with the values that a label has."""
    query = f"label_values({of})"
    every = (
        {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}} if multi else {}
    )
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        **every,
    }


def choice(name, label, values):
    options = [{"text": value, "value": value, "selected": value == values[0]} for value in values]
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(values),
        "options": options,
        "current": options[0],
    }


def dashboard(uid, title, description, panels, variables):
    x = y = tallest = 0
    placed = []
    for n, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append({"id": n, "gridPos": position, **panel.json})
        x, tallest = x + panel.width, max(tallest, panel.height)
    others = {"type": "dashboards", "title": "tracenet", "tags": ["tracenet"], "asDropdown": True}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tracenet"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "links": [{**others, "includeVars": True, "keepTime": True, "icon": "external link"}],
        "annotations": {"list": []},
        "panels": placed,
    }
