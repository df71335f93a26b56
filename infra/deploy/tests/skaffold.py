"""skaffold.yaml with a profile applied."""

from typing import Any

import yaml

from ticketing_deploy.images import ROOT


def skaffold(profile: str | None = None) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    profiles = {each["name"]: each for each in config.pop("profiles")}
    if profile:
        chosen = profiles[profile]
        config |= {key: config[key] | chosen[key] for key in ("build", "manifests") if key in chosen}
        for patch in chosen.get("patches", []):
            *way, last = [int(step) if step.isdigit() else step for step in patch["path"].split("/")[1:]]
            parent: Any = config
            for step in way:
                parent = parent[step]
            assert parent[last] is not None
            if patch["op"] == "remove":
                del parent[last]
            else:
                parent[last] = patch["value"]
    return config
