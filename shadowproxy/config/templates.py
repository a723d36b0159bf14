"""The OpenAPI files that a configuration names, and the routes that come of them."""

from __future__ import annotations

from pathlib import Path as FilePath

from shadowproxy.config import document as doc
from shadowproxy.config import openapi
from shadowproxy.config.findings import Findings
from shadowproxy.config.matching import reaches_into
from shadowproxy.config.problems import BadValueError, ConfigError, Path
from shadowproxy.config.section import fill
from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics.layout import MAX_ROUTES
from shadowproxy.model import policy as p
from shadowproxy.model.terms import OPENAPI


def described(document: doc.Document, findings: Findings) -> dict[str, list[str]]:
    """The templates of each service that has a file; what is wrong with one, or left out, is among the findings."""
    found: dict[str, list[str]] = {}
    for name, path, service in document.named():
        section = service.endpoints
        at: Path = (*path, "endpoints", "openapi")
        if section is None or section.openapi is None:
            continue
        try:
            shown = str(FilePath(findings.file).parent / section.openapi)
            templates, left_out = openapi.read(findings.base / section.openapi, shown)
        except BadValueError as error:
            findings.wrong(at, str(error))
            continue
        except ConfigError as error:
            findings.problems += error.problems
            continue
        findings.warnings += [str(problem) for problem in left_out]
        prefix = fill(p.ServicePolicy(name, 0, {}), service.match).path
        found[name] = [template for template in templates if reaches_into(template, prefix)]
        outside = len(templates) - len(found[name])
        if outside:
            right = f"{outside} of {len(templates)} paths lie outside of {prefix}, where the service is: left out"
            findings.warn(at, f"{right}; the paths of servers in the file come before its paths")
    return found


def with_described(
    policy: p.Policy, registry: p.Registry, templates: dict[str, list[str]], document: doc.Document, findings: Findings
) -> tuple[p.Policy, p.Registry]:
    """The policy with those templates as routes; how many found no place is a warning."""
    policy, registry, left_out = with_templates(policy, registry, templates, OPENAPI, MAX_ROUTES)
    for name, path, service in document.named():
        if name in left_out:
            most = fill(p.EndpointsPolicy(), service.endpoints).max
            what = f"{left_out[name]} of {len(templates[name])} paths find no place and are counted as `other`"
            bound = f"at most {most} of a service do, and {MAX_ROUTES} routes of all"
            findings.warn((*path, "endpoints", "openapi"), f"{what}: {bound}")
    return policy, registry
