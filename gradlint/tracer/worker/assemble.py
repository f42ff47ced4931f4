"""Turn what the recorder holds into the record: names, ids and numbers instead of objects."""

from __future__ import annotations

import math
from typing import Any

import torch

from .calls import Call
from .graph import Delta, Function
from .losses import LossCall, gradient_ratio, value_range
from .names import Names
from .places import as_place
from .recorder import Recorder, Segment
from .samples import resolved
from .tracked import TensorState

_SETTINGS = (int, float, bool, str)


class Assembler:
    """Builds the record's lists from a finished recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.names = Names(recorder)
        self.ids: dict[Any, str] = {}
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []
        self.stats = recorder.samples.stats
        self.deltas: dict[Any, Delta] = {}
        for segment in recorder.segments:
            for unit, delta in segment.graph.deltas.items():
                self.deltas.setdefault(unit, delta)
        self.node_index: dict[str, dict[str, Any]] = {}
        self._owners = {
            id(parameter): module
            for top in self.names.tops
            for module in top.modules()
            for parameter in module._parameters.values()
            if parameter is not None
        }
        self._used_by: dict[int, list[str]] = {}

    def build(self) -> dict[str, Any]:
        recorder = self.recorder
        self._nodes()
        losses = self._losses()
        nonfinite = self._nonfinite()
        return {
            "steps": recorder.steps_seen,
            "rounds": 1 + max((segment.round for segment in recorder.segments), default=-1),
            "device": _device_name(recorder.device),
            "roots": self._roots(),
            "nodes": self.nodes,
            "edges": self.edges,
            "parameters": self._parameters(),
            "events": self._events(nonfinite),
            "optimizers": self._optimizers(),
            "losses": losses,
            "recurrent": recorder.recurrent.report(self.names.module, lambda call: self.ids.get(call, "")),
            "loaders": recorder.loaders.found,
            "distributions": recorder.distributions.report(),
            "growth": self._growth(),
            "nonfinite": nonfinite,
        }

    # -- nodes and edges -----------------------------------------------------------------------------------------

    def _nodes(self) -> None:
        counts: dict[tuple[int, str], int] = {}
        order = 0
        for segment in self.recorder.segments:
            for unit in _in_order(segment):
                round_ = segment.round
                if isinstance(unit, Call):
                    base = self.names.module(unit.module)
                else:
                    base = unit.operation
                number = counts.get((round_, base), 0)
                counts[round_, base] = number + 1
                label = base or type(getattr(unit, "module", unit)).__name__
                identity = f"{label}#{number}"
                if round_:
                    identity += f"@{round_}"
                self.ids[unit] = identity
                node = self._call(unit) if isinstance(unit, Call) else self._function(unit)
                node.update(id=identity, round=round_, order=order, call=number)
                order += 1
                self.nodes.append(node)
                self.node_index[identity] = node
        for segment in self.recorder.segments:
            self._edges(segment)
        for segment in self.recorder.segments:
            for unit in _in_order(segment):
                parent = unit.parent
                self.node_index[self.ids[unit]]["parent"] = self.ids.get(parent) if parent is not None else None
            for key, users in segment.graph.uses.items():
                if segment.round == 0:
                    known = self._used_by.setdefault(key, [])
                    known.extend(self.ids[user] for user in users if user in self.ids)

    def _call(self, call: Call) -> dict[str, Any]:
        module = call.module
        constructed = self._constructed(module)
        node = self._measured(call)
        leaf = not call.children
        node.update(
            kind="module",
            fqn=self.names.module(module),
            root=self.names.root(module),
            class_name=type(module).__name__,
            is_leaf=leaf and call.collapse,
            constructed=as_place(constructed),
            called=as_place(call.place),
            inputs=call.inputs,
            outputs=call.outputs,
            training=call.training,
            grad_enabled=call.grad_enabled,
            autocast=call.autocast,
            recomputed=call.recomputed,
            settings=_settings(module),
            parameters=[self.names.tensor(p) for p in module._parameters.values() if p is not None],
            data=self._statistics(call.data),
            activation_kind=call.activation if leaf else None,
            effective_rank=_effective_rank(call.rank_sample) if leaf else None,
        )
        return node

    def _constructed(self, module: Any) -> Any:
        place = self.recorder.place_of(module)
        if place is not None:
            return place
        for top in self.names.tops:
            for parent in top.modules():
                if any(child is module for child in parent._modules.values()) and parent is not module:
                    return self._constructed(parent)
        return None

    def _function(self, function: Function) -> dict[str, Any]:
        node = self._measured(function)
        parent = function.parent
        shape = function.shape
        node.update(
            kind="function",
            fqn=self.names.module(parent.module) if parent is not None else "",
            root=self.names.root(parent.module) if parent is not None else -1,
            class_name=function.operation,
            is_leaf=True,
            constructed=None,
            called=as_place(function.place or (parent.place if parent is not None else None)),
            inputs=[],
            outputs=[{"shape": shape, "dtype": function.dtype or "", "requires_grad": True}]
            if shape is not None
            else [],
            training=parent.training if parent is not None else None,
            grad_enabled=True,
            autocast=parent.autocast if parent is not None else None,
            recomputed=parent.recomputed if parent is not None else False,
            settings={},
            parameters=[],
            data=None,
            activation_kind=function.activation,
            effective_rank=None,
        )
        return node

    def _measured(self, unit: Any) -> dict[str, Any]:
        activation = dict(self.stats[unit.stats]) if unit.stats is not None and unit.stats < len(self.stats) else None
        share = dead = units = None
        if activation is not None:
            share, dead, units = (
                activation.pop("saturated_share"),
                activation.pop("dead_units"),
                activation.pop("units"),
            )
        delta = self.deltas.get(unit)
        outgoing = self._statistics(delta.outgoing) if delta is not None else None
        incoming = self._statistics(delta.incoming) if delta is not None else None
        gain = None
        if outgoing and incoming and outgoing["second_moment"] > 0:
            gain = incoming["second_moment"] / outgoing["second_moment"]
        return {
            "activation": activation,
            "saturated_share": share,
            "dead_units": dead,
            "units": units,
            "output_gradient": outgoing,
            "input_gradient": incoming,
            "local_gain": gain if gain is not None and math.isfinite(gain) else None,
            "backward": delta.backward if delta is not None else None,
            "parent": None,
        }

    def _statistics(self, ticket: int | None) -> dict[str, Any] | None:
        if ticket is None or ticket >= len(self.stats):
            return None
        return {k: v for k, v in self.stats[ticket].items() if k not in ("saturated_share", "dead_units", "units")}

    def _edges(self, segment: Segment) -> None:
        seen = set()
        for (source, target, _, _), flowed in segment.graph.edges.items():
            start, end = self.ids.get(source), self.ids.get(target)
            if start is None or end is None or start == end:
                continue
            key = (start, end, tuple(flowed["shape"] or ()))
            if key not in seen:
                seen.add(key)
                self.edges.append({"source": start, "target": end, **flowed, "differentiable": True})
        known = {(edge["source"], edge["target"]) for edge in self.edges}
        for source, target, shape, dtype in segment.graph.calls_identity(segment.calls):
            start, end = self.ids.get(source), self.ids.get(target)
            if start is not None and end is not None and start != end and (start, end) not in known:
                known.add((start, end))
                self.edges.append(
                    {"source": start, "target": end, "shape": shape, "dtype": dtype, "differentiable": False}
                )

    # -- parameters ----------------------------------------------------------------------------------------------

    def _parameters(self) -> list[dict[str, Any]]:
        recorder, names = self.recorder, self.names
        for top in names.tops:
            for parameter in top.parameters():
                recorder.track(parameter)
        for segment in recorder.segments:
            for leaf in segment.graph.leaves.values():
                if id(leaf) in names.of_tensor or segment.graph.is_weightlike(leaf):
                    recorder.track(leaf)
        graph_tensors = {key for segment in recorder.segments for key in segment.graph.uses}
        called_grad: set[int] = set()
        called_any: set[int] = set()
        for segment in recorder.segments:
            for call in segment.calls:
                called_any.add(id(call.module))
                if call.grad_enabled or call.recomputed:
                    called_grad.add(id(call.module))
        return [self._parameter(state, graph_tensors, called_any, called_grad) for state in recorder.tensors.values()]

    def _parameter(
        self, state: TensorState, graph_tensors: set[int], called_any: set[int], called_grad: set[int]
    ) -> dict[str, Any]:
        tensor, names = state.tensor, self.names
        owner = self._owners.get(id(tensor))
        known = names.of_tensor.get(id(tensor))
        optimizers, groups = [], []
        for optimizer in self.recorder.optimizers:
            for index, group in enumerate(optimizer.optimizer.param_groups):
                for held in group["params"]:
                    if held is tensor:
                        groups.append([optimizer.number, index])
                        if optimizer.number not in optimizers:
                            optimizers.append(optimizer.number)
        initial = self._initial(state)
        second, mean = initial["second_moment"], initial["mean"]
        fan_in, fan_out = _fans(tensor, owner)
        owner_called = owner is not None and id(owner) in called_any
        return {
            "name": names.tensor(tensor),
            "root": known[0] if known else -1,
            "aliases": names.aliases.get(id(tensor), []),
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype)[6:],
            "requires_grad": tensor.requires_grad,
            "is_leaf": tensor.is_leaf,
            "registered": id(tensor) in names.registered,
            "owners": [names.module(owner)] if owner is not None else [],
            "owner_class": type(owner).__name__ if owner is not None else None,
            "nodes": list(dict.fromkeys(self._used_by.get(id(tensor), []))),
            "constructed": as_place(self._constructed(owner)) if owner is not None else None,
            "optimizers": optimizers,
            "groups": groups,
            "used": id(tensor) in graph_tensors or owner_called or state.reached,
            "called_without_grad": owner_called and id(owner) not in called_grad,
            "reached": state.reached,
            "initial_std": math.sqrt(max(second - mean * mean, 0.0)) if tensor.numel() > 1 else None,
            "initial_mean": mean,
            "initial_norm": math.sqrt(second * tensor.numel()),
            "fan_in": fan_in,
            "fan_out": fan_out,
            "identical_rows": _identical_rows(state.first_rows),
            "gradient_rank": _effective_rank(state.first_rows),
            "identical_weight_rows": _identical_rows(state.weight_rows) == 1.0,
            "zero_by_invariance": self._invariance(tensor, owner),
            "steps": [self._step(step, tensor) for step in state.steps],
        }

    def _initial(self, state: TensorState) -> dict[str, Any]:
        if state.initial is not None:
            return self.stats[state.initial]
        value = state.tensor.detach()
        if value.numel() == 0 or not value.is_floating_point() or value.device.type == "meta":
            return {"mean": 0.0, "second_moment": 0.0}
        value = value.reshape(-1)[: 1 << 16].double()
        return {"mean": float(value.mean()), "second_moment": float(value.square().mean())}

    def _step(self, step: dict[str, Any], tensor: torch.Tensor) -> dict[str, Any]:
        stats = self.stats
        before = stats[step["before"]]
        moved = stats[step["moved"]] if step["moved"] is not None else None
        weight = math.sqrt(before["second_moment"] * tensor.numel()) if before["second_moment"] >= 0 else 0.0
        update = math.sqrt(moved["second_moment"] * tensor.numel()) if moved is not None else 0.0
        gradient = resolved(step["grad_norm"]) if step["grad_norm"] is not None else None
        return {
            "round": step["round"],
            "optimizer": step["optimizer"],
            "grad_norm": gradient,
            "grad_nonfinite": int(gradient is not None and not math.isfinite(gradient)),
            "weight_norm": weight,
            "update_norm": update,
            "update_ratio": update / weight if weight > 0 and math.isfinite(update) else None,
            "version_moved": step["version_moved"],
        }

    def _invariance(self, tensor: torch.Tensor, owner: Any) -> str | None:
        """Why the gradient of this parameter is zero whatever the data, where that is so."""
        if owner is None:
            return None
        name = next((n for n, p in owner._parameters.items() if p is tensor), "")
        if not tensor.requires_grad:
            return "frozen"
        path = self.names.module(owner).lower()
        if name == "bias" and path.split(".")[-1] in ("key", "k_proj", "wk", "k", "to_k", "k_lin"):
            return "attention key bias: softmax ignores a constant added to all scores of a query"
        if name != "bias":
            return None
        nodes = [node for node in self._used_by.get(id(tensor), []) if node in self.node_index]
        targets = [edge["target"] for edge in self.edges if edge["source"] in nodes]
        if not targets:
            return None
        for target in targets:
            node = self.node_index[target]
            batch = "BatchNorm" in node["class_name"] and node["training"]
            single = "InstanceNorm" in node["class_name"] or (
                node["class_name"] == "GroupNorm"
                and node["settings"].get("num_groups") == node["settings"].get("num_channels")
            )
            if not (batch or single):
                return None
        return "bias before {}, which subtracts it".format(self.node_index[targets[0]]["class_name"])

    # -- the rest ------------------------------------------------------------------------------------------------

    def _roots(self) -> list[dict[str, Any]]:
        called = {id(call.module) for segment in self.recorder.segments for call in segment.calls}
        roots = []
        for index, top in enumerate(self.names.tops):
            uncalled = []
            for name, module in top.named_modules():
                if id(module) not in called and any(p is not None for p in module._parameters.values()):
                    uncalled.append(self.names.full(index, name))
            roots.append(
                {
                    "index": index,
                    "class_name": type(top).__name__,
                    "name": self.names.labels[index],
                    "constructed": as_place(self._constructed(top)),
                    "parameters": sum(p.numel() for p in top.parameters()),
                    "uncalled": uncalled if called else [],
                }
            )
        return roots

    def _losses(self) -> list[dict[str, Any]]:
        entries = []
        for segment in self.recorder.segments:
            for loss in segment.losses:
                entries.append(self._loss(loss, segment))
        return entries

    def _loss(self, loss: LossCall, segment: Segment) -> dict[str, Any]:
        record = dict(loss.record)
        record.pop("weighted")
        target = loss.target
        classes = (
            target is not None
            and not target.is_floating_point()
            and not target.is_complex()
            and record["name"] in ("cross_entropy", "nll_loss")
        )
        rows = record["class_dim"] is not None
        node = None
        if loss.point is not None:
            owner = segment.graph.owner_of(loss.thread, loss.point)
            node = self.ids.get(owner) if owner is not None else None
        record.update(
            id=loss.number,
            class_name=type(loss.module).__name__ if loss.module is not None else None,
            constructed=as_place(self._constructed(loss.module)) if loss.module is not None else None,
            called=as_place(record["called"] if loss.module is None else loss.call.place),
            value=float(loss.value) if loss.value is not None else None,
            input_range=value_range(loss.input, rows),
            target_range=value_range(target, rows and target is not None and target.dim() == 2),
            target_is_class_index=classes,
            target_values=_distinct(target),
            target_max=float(loss.largest) if loss.largest is not None else None,
            fed_by_place=as_place(record["fed_by_place"]),
            input_node=node,
            gradient_ratio=gradient_ratio(loss),
        )
        record.setdefault("round", -1)
        return record

    def _events(self, nonfinite: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = self.names
        first = {entry["round"]: entry["node"] for entry in reversed(nonfinite) if entry["input_finite"]}
        events = []
        for event in self.recorder.events:
            entry = dict(event)
            kind = entry["kind"]
            if kind == "forward":
                entry["node"] = self.ids.get(entry["node"], "")
                entry["fqn"] = names.module(entry["fqn"])
            elif kind in ("mode", "state_dict"):
                entry["fqn"] = names.module(entry["fqn"])
            elif kind in ("backward", "autograd_grad"):
                entry["reached"] = sorted({names.tensor(t) for t in entry["reached"] if id(t) in self.recorder.tensors})
                entry["nonfinite_producer"] = first.get(entry["round"])
            elif kind == "clip":
                entry["names"] = [names.tensor(t) for t in entry["names"]]
            elif kind == "optimizer_step":
                stale = [
                    key
                    for key, later in entry["stale_parameters"].items()
                    if later.value is not None and later.value > 0
                ]
                entry["stale"] = bool(stale)
                entry["stale_parameters"] = [names.tensor(self.recorder.tensors[key].tensor) for key in stale]
                entry.pop("norms", None)
            events.append(resolved(entry))
        return events

    def _optimizers(self) -> list[dict[str, Any]]:
        reached = {key for key, state in self.recorder.tensors.items() if state.reached}
        held = {id(p) for state in self.recorder.optimizers for p in state.parameters()}
        loose = [self.names.tensor(self.recorder.tensors[key].tensor) for key in reached - held]
        found = []
        for state in self.recorder.optimizers:
            optimizer = state.optimizer
            groups = []
            for group in optimizer.param_groups:
                settings = {key: _plain_setting(value) for key, value in group.items() if key != "params"}
                groups.append(
                    {
                        "parameters": [self.names.tensor(p) for p in group["params"] if isinstance(p, torch.Tensor)],
                        "settings": {key: value for key, value in settings.items() if value is not Ellipsis},
                    }
                )
            found.append(
                {
                    "id": state.number,
                    "class_name": type(optimizer).__name__,
                    "module": type(optimizer).__module__,
                    "constructed": as_place(state.place),
                    "groups": groups,
                    "used_but_not_held": sorted(loose),
                    "held_but_unused": sorted(self.names.tensor(p) for p in state.parameters() if id(p) not in reached),
                    "steps": state.steps,
                    "needs_closure": type(optimizer).__name__ == "LBFGS",
                }
            )
        return found

    def _growth(self) -> dict[str, Any]:
        recorder = self.recorder
        rounds = sorted(recorder.growth.nodes)
        live, holders, partly = recorder.growth.live_losses()
        return {
            "graph_nodes": [recorder.growth.nodes[r] for r in rounds],
            "saved_bytes": [recorder.growth.saved[r] for r in rounds if r in recorder.growth.saved],
            "resident_bytes": [recorder.growth.resident.get(r, 0) for r in rounds],
            "live_losses": live,
            "live_graphs": partly,
            "holders": holders,
        }

    def _nonfinite(self) -> list[dict[str, Any]]:
        """Nodes with non-finite values, forward first; a producer is one whose own inputs were finite."""
        sources: dict[str, list[str]] = {}
        users: dict[str, list[str]] = {}
        for edge in self.edges:
            sources.setdefault(edge["target"], []).append(edge["source"])
            users.setdefault(edge["source"], []).append(edge["target"])
        found = []
        for direction, field, neighbours in (
            ("forward", "activation", sources),
            ("backward", "output_gradient", users),
        ):
            chosen = [n for n in self.nodes if n[field] is not None and n[field]["nonfinite"] and n["is_leaf"]]
            bad = {n["id"] for n in chosen}
            if direction == "backward":
                chosen = chosen[::-1]
            for node in chosen[:32]:
                clean = not any(other in bad for other in neighbours.get(node["id"], []))
                found.append(
                    {
                        "node": node["id"],
                        "round": node["round"],
                        "direction": direction,
                        "count": node[field]["nonfinite"],
                        "input_finite": clean,
                        "autocast": node["autocast"] is not None,
                        "place": node["called"],
                    }
                )
        return found


def _in_order(segment: Segment) -> list[Any]:
    """Calls and functions of a measured segment in order of execution."""
    if not segment.measured:
        return []
    keyed: list[tuple[tuple[int, float, int], Any]] = []
    starts: dict[Any, int] = {}
    for position, call in enumerate(segment.calls):
        starts[call] = position
        keyed.append(((call.start, position, 0), call))
    for function in segment.graph.functions.values():
        keyed.append(((function.number, 1 << 40, 0), function))
    keyed.sort(key=lambda item: item[0])
    return [unit for _, unit in keyed]


def _settings(module: Any) -> dict[str, Any]:
    """The numbers a closed form needs, read from public attributes of plain types."""
    found: dict[str, Any] = {}
    for name, value in list(vars(module).items()):
        if name.startswith("_") or name in ("training", "call_super_init", "dump_patches"):
            continue
        plain = _plain_setting(value)
        if plain is not Ellipsis and len(found) < 32:
            found[name] = plain
    if "bias" in module._parameters:
        found["bias"] = module._parameters["bias"] is not None
    return found


def _plain_setting(value: Any) -> Any:
    """JSON form of a hyperparameter; Ellipsis when it has none."""
    if value is None or isinstance(value, _SETTINGS):
        return value if not isinstance(value, str) or len(value) < 200 else Ellipsis
    if isinstance(value, torch.Tensor) and value.numel() == 1 and value.device.type != "meta":
        return float(value)
    if (
        isinstance(value, (tuple, list))
        and value
        and all(isinstance(v, (int, float)) for v in value)
        and len(value) < 16
    ):
        return list(value)
    return Ellipsis


def _distinct(target: torch.Tensor | None) -> int | None:
    """How many values the kept part of a target has, if all are whole numbers; None otherwise."""
    if target is None or target.numel() == 0 or target.is_complex():
        return None
    value = target.double()
    whole = bool((value == value.round()).all()) and bool(torch.isfinite(value).all())
    return int(value.unique().numel()) if whole else None


def _fans(tensor: torch.Tensor, owner: Any) -> tuple[int | None, int | None]:
    if tensor.dim() < 2 or isinstance(owner, torch.nn.Embedding):
        return None, None
    field = math.prod(tensor.shape[2:]) if tensor.dim() > 2 else 1
    if owner is not None and "Transpose" in type(owner).__name__:
        return tensor.shape[0] * field, tensor.shape[1] * field
    return tensor.shape[1] * field, tensor.shape[0] * field


def _effective_rank(rows: torch.Tensor | None) -> float | None:
    """exp of the entropy of the normalised singular values; 1.0 when all rows (or columns) are alike."""
    if rows is None or rows.dim() != 2 or min(rows.shape) < 2:
        return None
    table = rows.detach().cpu().double()[:64, :64]
    if not bool(torch.isfinite(table).all()):
        return None
    peak = float(table.abs().max())
    if peak == 0:
        return None
    values = torch.linalg.svdvals(table / peak)
    share = values / values.sum()
    share = share[share > 1e-15]
    return float(torch.exp(-(share * share.log()).sum()))


def _identical_rows(rows: torch.Tensor | None) -> float | None:
    """Share of rows equal to the first live one, to float32 rounding; None when the table is zero."""
    if rows is None or rows.shape[0] < 2:
        return None
    table = rows.detach().cpu().double()
    peak = float(table.abs().max())
    if peak == 0 or not math.isfinite(peak):
        return None
    first = table[int(table.abs().amax(1).argmax())]
    distance = (table - first).abs().amax(1) / peak
    return float((distance < 1e-5).double().mean())


def _device_name(device: torch.device | None) -> str:
    if device is None:
        return "cpu"
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
