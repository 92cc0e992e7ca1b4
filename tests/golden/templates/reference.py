"""Renders templates with Python's jinja2, set up by transformers; the time stands still."""

import datetime
import sys

import transformers.utils.chat_template_utils as chat_template_utils

NOW = 1735736719  # 2025-01-01 13:05:19 UTC


class StoppedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


chat_template_utils.datetime = StoppedTime
# Python refuses to print very long integers; we refuse those beyond 64 bits anyway.
sys.set_int_max_str_digits(0)


def render(template, context):
    """The text, or None where jinja2 fails."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        text = compiled.render(**context)
        text.encode("utf-8")
        return text
    except Exception:  # jinja2 passes on whatever Python raises.
        return None


def with_defaults(context):
    """What transformers gives to every template."""
    return {
        "messages": [],
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
        **context,
    }
