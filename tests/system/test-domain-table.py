#!/usr/bin/python3
"""The table of docs/domains.md says, row by row, what the table in the code says."""

import re
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
WORDS = {"nothing": "SKIP", "refused": "REFUSE", "read-only": "READ_ONLY", "shared": "SHARED", "exclusive": "EXCLUSIVE"}
ELEMENTS = {"DISK": "<disk>", "BACKING": "<backingStore>", "MIRROR": "<mirror>", "LOADER": "<loader>", "NVRAM": "<nvram>",
            "TEMPLATE": "template", "TPM": "<tpm>", "LEASE": "<lease>", "HOSTDEV": "<hostdev>", "MEMORY": "<memory>"}


def rows_of_the_code():
    """Part, the type that is asked for or "", and the answer, of each row."""
    text = (SOURCE / "service/model/domain-map.c").read_text()
    table = text[text.index("rows[] = {"):text.index("};", text.index("rows[] = {"))]
    row = re.compile(r"\{(IMAGES|DLK_PART_\w+).*?, (NULL|\"\w+\"), (?:TAKE\((\w+)\)|(SKIP|REFUSE))")
    return [(part.removeprefix("DLK_PART_").replace("IMAGES", "DISK"), kind.strip('"').replace("NULL", ""), mode or answer)
            for part, kind, mode, answer in row.findall(table)]


def rows_of_the_page():
    """Element, where, and the answer, of each row; an empty element is that of the row above."""
    text = (SOURCE / "docs/domains.md").read_text()
    section = text[text.index("## The table"):text.index("## What each disk is called")]
    element = ""
    for line in [line for line in section.splitlines() if line.startswith("|")][2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        element = cells[0] or element
        yield element, cells[1], WORDS[re.match(r"[\w-]+", cells[2])[0]]


class DomainTable(unittest.TestCase):
    def test_page_has_the_rows_of_the_code_in_their_order(self):
        code, page = rows_of_the_code(), list(rows_of_the_page())
        self.assertGreater(len(code), 20)
        self.assertEqual([answer for _, _, answer in page], [answer for _, _, answer in code])

    def test_each_row_names_the_element_and_the_type_that_the_code_asks_for(self):
        for (part, kind, _), (element, where, _) in zip(rows_of_the_code(), rows_of_the_page(), strict=True):
            named = element if element != "the same, `<memory>` as above, `<pstore>`" else "<hostdev> <memory>"
            self.assertIn(ELEMENTS[part], named)
            self.assertEqual(re.findall(r"type `(volume|dir)`", where), [kind] if kind else [])


if __name__ == "__main__":
    unittest.main()
