"""Renders chat templates with Python's Jinja2 as transformers does, for src/tokenizer/template-goldens.test.ts.

    python3 scripts/make-template-goldens.py FOLDER

FOLDER holds the templates (*.jinja). Every one is rendered for each of src/tokenizer/template-goldens/conversations.json;
src/tokenizer/template-goldens/templates.golden.json gets, by template and conversation, the SHA-256 of the text with its first
and last 60 characters, or the message of the error. Needs python3-jinja2.
"""

import hashlib
import json
import pathlib
import sys
from datetime import datetime

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

GOLDENS = pathlib.Path(__file__).parent.parent / "src/tokenizer/template-goldens"
# The test sets its clock to this.
NOW = datetime(2025, 3, 7, 14, 5)
TOKENS = {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}
NUM_SHOWN = 60


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    """Unlike Jinja2's own filter, escapes nothing for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


def make_environment():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(template, conversation):
    """What the template makes of a conversation, as the golden holds it."""
    try:
        text = template.render(
            **{**TOKENS, "documents": None, **conversation.get("templateKwargs", {})},
            messages=conversation["messages"],
            tools=conversation.get("tools"),
            add_generation_prompt=conversation.get("addGenerationPrompt", True),
        )
    except Exception as error:  # A template may fail in any way.
        return {"error": f"{type(error).__name__}: {error}"}
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return {"sha256": digest, "start": text[:NUM_SHOWN], "end": text[-NUM_SHOWN:]}


def main():
    [folder] = sys.argv[1:]
    conversations = json.loads((GOLDENS / "conversations.json").read_text("utf-8"))
    environment = make_environment()
    goldens = {}
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        template = environment.from_string(path.read_text("utf-8"))
        goldens[path.stem] = {
            conversation["name"]: render(template, conversation) for conversation in conversations
        }
    text = json.dumps(goldens, ensure_ascii=False, indent=1)
    (GOLDENS / "templates.golden.json").write_text(text + "\n", "utf-8")


main()
