"""JUnit XML of a record: one suite per target, one case per expectation, metrics as properties."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from emulab.model.record import RunRecord

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: object) -> str:
    return _NOT_XML.sub("?", str(value))


def junit(record: RunRecord) -> str:
    """The record as JUnit XML (the layout CI systems read: testsuites / testsuite / testcase)."""
    root = ElementTree.Element("testsuites", name=_text(record.scenario.get("name", "emulab")))
    for result in record.results:
        label = result.label
        expectations = [e for e in record.expectations if e.target == label]
        failures = sum(e.status == "failed" for e in expectations)
        skipped = sum(e.status == "unavailable" for e in expectations) + (result.status in ("skipped", "unavailable"))
        errors = int(result.status == "error")
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(label),
            tests=str(len(expectations) + 1),
            failures=str(failures),
            errors=str(errors),
            skipped=str(skipped),
            timestamp=_text(record.provenance.started_at),
            time=str(record.provenance.wall_s.get(label, 0)),
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, quantity in result.metrics.items():
            value = "" if quantity.value is None else f"{quantity.value:.9g}"
            ElementTree.SubElement(properties, "property", name=_text(f"{name} [{quantity.kind}]"), value=value)
        case = ElementTree.SubElement(suite, "testcase", classname=_text(label), name="run")
        if result.status == "error":
            ElementTree.SubElement(case, "error", message=_text(result.message))
        elif result.status in ("skipped", "unavailable"):
            ElementTree.SubElement(case, "skipped", message=_text(result.message))
        for item in expectations:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_text(label), name=_text(f"{item.metric}: {item.bound}")
            )
            if item.status == "failed":
                ElementTree.SubElement(case, "failure", message=_text(item.message or item.bound))
            elif item.status == "unavailable":
                ElementTree.SubElement(case, "skipped", message=_text(item.message))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
